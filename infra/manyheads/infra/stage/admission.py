"""Which records are jobs: sound headers, a deadline still ahead, a sender who may be answered."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from manyheads.infra.stage.work import Job, Record
from manyheads.topics.errors import DeadlineExceeded, ErrorCode, WireError
from manyheads.topics.headers import REPLY_TOPIC, Envelope, ReplyAddress, address_headers, senders_of, without_address
from manyheads.topics.names import DEAD_LETTER_SUFFIX, REGISTRY_TOPIC, TELEMETRY_TOPIC, is_job_topic, parse_stage_topic


def read_envelope(record: Record) -> Envelope:
    """The envelope of a record whose sender may be answered, with the time of its request where that is known.

    Raises:
        WireError: missing_header or invalid_header.
    """
    envelope = Envelope.from_headers(record.headers)
    if not _may_be_replied_to(envelope.reply.topic):
        raise WireError(
            ErrorCode.INVALID_HEADER,
            f"the header {REPLY_TOPIC} names {envelope.reply.topic}, which is the pipeline's own; name a reply topic",
            header=REPLY_TOPIC,
        )
    if _is_embeddings(record.topic):
        return envelope
    # A request's own record says when it was made; no sender may say otherwise.
    return replace(envelope, requested_ms=record.timestamp_ms)


def admit(record: Record, envelope: Envelope, now_ms: int) -> Job:
    """The job of a record at ``now_ms``, milliseconds since the epoch.

    Raises:
        DeadlineExceeded: its deadline has passed.
    """
    waited_ms = max(0, now_ms - record.timestamp_ms)
    if envelope.deadline_ms is not None and envelope.expired(now_ms):
        late_ms = now_ms - envelope.deadline_ms
        raise DeadlineExceeded(
            ErrorCode.DEADLINE_EXCEEDED,
            f"the deadline passed {late_ms:,} ms before the record's turn in {record.topic}, where it had waited "
            f"{waited_ms:,} ms; allow more time, or add workers",
            late_ms=late_ms,
            waited_ms=waited_ms,
        )
    return Job(record, envelope, float(waited_ms))


def one_by_one(record: Record, envelope: Envelope) -> Iterator[tuple[Record, Envelope]]:
    """The record and its envelope; of a request for several tenants, one for each: as if each had been sent alone."""
    if not envelope.further:
        yield record, envelope
        return
    common = without_address(record.headers)
    for each in envelope.for_each():
        yield replace(record, headers=(*common, *address_headers(each))), each


def reachable_senders(record: Record) -> tuple[ReplyAddress, ...]:
    """Where the failure of a record is reported; empty if nobody can be told."""
    return tuple(sender for sender in senders_of(record.headers) if _may_be_replied_to(sender.topic))


@lru_cache(maxsize=1024)
def _may_be_replied_to(topic: str) -> bool:
    # A worker may write to topics that a sender may not: it must not be made to.
    return not (
        topic in (REGISTRY_TOPIC, TELEMETRY_TOPIC)
        or topic.startswith("__")
        or topic.endswith(DEAD_LETTER_SUFFIX)
        or is_job_topic(topic)
        or parse_stage_topic(topic) is not None
    )


def _is_embeddings(topic: str) -> bool:
    parsed = parse_stage_topic(topic)
    return parsed is not None and parsed.cell is not None
