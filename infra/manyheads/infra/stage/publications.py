"""The records that a stage writes: results, replies, failures, dead letters."""

from pydantic import ValidationError

from manyheads.infra.kafka.records import Outgoing, Record
from manyheads.infra.stage.work import Answer, Forward
from manyheads.topics.errors import ManyheadsError, WireError
from manyheads.topics.headers import DeadLetterReason, Envelope, Headers, ReplyAddress, reply_headers
from manyheads.topics.limits import MAX_ERROR_MESSAGE_CHARACTERS
from manyheads.topics.messages import Failure, Reply
from manyheads.topics.names import dead_letter_topic, parse_stage_topic


def result(envelope: Envelope, outcome: Forward | Answer) -> Outgoing:
    """A forwarded result carries the envelope on; an answer goes to the sender."""
    match outcome:
        case Forward(topic=topic, key=key, value=value):
            return Outgoing(topic, value, key, envelope.to_headers())
        case Answer(value):
            return _reply(envelope.reply, value, envelope)


def failure_reply(address: ReplyAddress, error: ManyheadsError, envelope: Envelope | None = None) -> Outgoing:
    """The error, for the sender; ``envelope`` is None where it could not be read."""
    try:
        value = Reply(failure=Failure.of(error)).to_bytes()
    except (ValidationError, WireError, TypeError):
        # The details are whatever a stage put there; the code and the message must arrive all the same.
        bare = Failure(code=error.code, message=str(error.message)[:MAX_ERROR_MESSAGE_CHARACTERS])
        value = Reply(failure=bare).to_bytes()
    return _reply(address, value, envelope)


def dead_letter(record: Record, error: ManyheadsError) -> Outgoing:
    """The record as it was, and why it could not be processed; of a transient topic, without its value."""
    source = parse_stage_topic(record.topic)
    value = None if source is not None and source.transient else record.value
    return Outgoing(dead_letter_topic(record.topic), value, record.key, (*record.headers, *_reason(record, error)))


def bare_dead_letter(record: Record, error: ManyheadsError) -> Outgoing:
    """For a record that is too large with its reason: the reason alone, which says where the record stands."""
    return Outgoing(dead_letter_topic(record.topic), None, None, _reason(record, error))


def _reply(address: ReplyAddress, value: bytes, envelope: Envelope | None) -> Outgoing:
    trace = (None, None) if envelope is None else (envelope.traceparent, envelope.tracestate)
    return Outgoing(address.topic, value, None, reply_headers(address, *trace), address.partition)


def _reason(record: Record, error: ManyheadsError) -> Headers:
    message = str(error.message)[:MAX_ERROR_MESSAGE_CHARACTERS]
    return DeadLetterReason(record.topic, record.partition, record.offset, str(error.code), message).to_headers()
