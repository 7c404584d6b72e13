"""The rules of a stage, driven step by step: what is published for each record, and what may be committed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from manyheads.infra.kafka.records import Record, TopicPartition
from manyheads.infra.kafka.transport import PublishFailure
from manyheads.infra.stage.core import LaneCore
from manyheads.infra.stage.halting import HaltPolicy
from manyheads.infra.stage.tickets import Publication, Purpose, Taken
from manyheads.infra.stage.work import Answer, Forward, Outcome
from manyheads.topics.errors import (
    BrokerError,
    DeadlineExceeded,
    ErrorCode,
    InternalError,
    InvalidRequest,
    ManyheadsError,
    WireError,
)
from manyheads.topics.headers import DeadLetterReason, Envelope, ReplyAddress, correlation_id_of, trace_of
from manyheads.topics.messages import Reply
from manyheads.topics.names import cell, embeddings_topic, ring, tenant

TOPIC = "nlu.en.requests"
AT = TopicPartition(TOPIC, 0)
NOW_MS = 1_000_000
ENVELOPE = Envelope(
    tenant("acme-bank"),
    ReplyAddress(b"call-1", "nlu.replies", 2),
    NOW_MS + 500,
    traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
    tracestate="vendor=1",
)
FORWARD = Forward("nlu.en.c0.embeddings", b"acme-bank", b"embedding")
REFUSED = InvalidRequest(ErrorCode.TEXT_EMPTY, "the text is empty", characters=0)
SYSTEMIC = WireError(ErrorCode.MALFORMED_MESSAGE, "no msgpack")


def _core(policy: HaltPolicy | None = None, patience_s: float = 30.0) -> LaneCore:
    core = LaneCore(policy or HaltPolicy(), patience_s)
    core.assign([AT])
    return core


def _record(offset: int, envelope: Envelope = ENVELOPE) -> Record:
    return Record(TOPIC, 0, offset, NOW_MS - 10, b"key", b"value", (*envelope.to_headers(), ("x-own", b"1")))


def outcomes(core: LaneCore) -> Counter[str]:
    return Counter(each.outcome for each in core.finished)


def _take(core: LaneCore, *offsets: int) -> Taken:
    return core.take([_record(offset) for offset in offsets], NOW_MS)


def _settle(core: LaneCore, offset: int, outcome: Outcome) -> list[Publication]:
    (ticket,) = _take(core, offset).tickets
    return core.settle(ticket, outcome)


def _acknowledge(core: LaneCore, publications: Sequence[Publication], now: float = 0.0) -> None:
    for publication in publications:
        core.acknowledged(publication, now)


def _purposes(publications: Sequence[Publication]) -> set[Purpose]:
    assert len({publication.purpose for publication in publications}) == len(publications)
    return {publication.purpose for publication in publications}


def _one(publications: Sequence[Publication], purpose: Purpose) -> Publication:
    return next(publication for publication in publications if publication.purpose is purpose)


def _failure(publication: Publication) -> ManyheadsError:
    reply = Reply.from_bytes(publication.outgoing.value)
    assert reply.failure is not None
    return reply.failure.error()


def test_a_forwarded_result_carries_the_envelope_on() -> None:
    core = _core()
    (publication,) = _settle(core, 0, FORWARD)
    outgoing = publication.outgoing
    assert (outgoing.topic, outgoing.key, outgoing.value) == (FORWARD.topic, FORWARD.key, FORWARD.value)
    assert outgoing.partition is None
    assert Envelope.from_headers(outgoing.headers) == replace(ENVELOPE, requested_ms=NOW_MS - 10)


def test_an_answer_goes_to_the_reply_address() -> None:
    (publication,) = _settle(_core(), 0, Answer(b"prediction"))
    outgoing = publication.outgoing
    assert (outgoing.topic, outgoing.partition, outgoing.value) == ("nlu.replies", 2, b"prediction")
    assert correlation_id_of(outgoing.headers) == b"call-1"
    assert trace_of(outgoing.headers) == (ENVELOPE.traceparent, ENVELOPE.tracestate)


def test_nothing_is_committed_before_the_acknowledgement_nor_past_a_gap() -> None:
    core = _core()
    taken = _take(core, 0, 1, 2)
    publications = [core.settle(ticket, FORWARD)[0] for ticket in taken.tickets]
    assert core.to_commit() == {}
    core.acknowledged(publications[2], 0)
    core.acknowledged(publications[1], 0)
    assert core.to_commit() == {}
    core.acknowledged(publications[0], 0)
    assert core.to_commit() == {AT: 3}
    assert (core.unfinished, outcomes(core)) == (0, {"ok": 3})


def test_a_failed_record_is_dead_lettered_whole_and_its_sender_told() -> None:
    core = _core()
    publications = _settle(core, 7, REFUSED)
    assert _purposes(publications) == {Purpose.DEAD_LETTER, Purpose.FAILURE_REPLY}
    letter = _one(publications, Purpose.DEAD_LETTER).outgoing
    record = _record(7)
    assert (letter.topic, letter.key, letter.value) == (f"{TOPIC}-dlt", record.key, record.value)
    assert letter.headers[: len(record.headers)] == record.headers
    reason = DeadLetterReason.from_headers(letter.headers)
    assert reason == DeadLetterReason(TOPIC, 0, 7, "text_empty", "the text is empty")
    reply = _one(publications, Purpose.FAILURE_REPLY)
    assert (reply.outgoing.topic, reply.outgoing.partition) == ("nlu.replies", 2)
    assert _failure(reply).code is ErrorCode.TEXT_EMPTY
    assert _failure(reply).details == {"characters": 0}


def test_a_dead_letter_keeps_no_embedding_of_a_transient_topic() -> None:
    core, topic = _core(), embeddings_topic(ring("en"), cell("c0"), transient=True)
    core.assign([TopicPartition(topic, 0)])
    record = replace(_record(7), topic=topic)
    (ticket,) = core.take([record], NOW_MS).tickets
    letter = _one(core.settle(ticket, REFUSED), Purpose.DEAD_LETTER).outgoing
    assert (letter.topic, letter.key, letter.value) == (f"{topic}-dlt", record.key, None)
    assert letter.headers[: len(record.headers)] == record.headers
    assert DeadLetterReason.from_headers(letter.headers).offset == 7


def test_a_failed_record_is_committed_once_both_are_acknowledged() -> None:
    core = _core()
    first, second = _settle(core, 0, REFUSED)
    core.acknowledged(first, 0)
    assert core.to_commit() == {}
    core.acknowledged(second, 0)
    assert core.to_commit() == {AT: 1}
    assert (outcomes(core), core.dead_letters) == ({"text_empty": 1}, {"text_empty": 1})


def test_an_expired_record_is_answered_and_not_dead_lettered() -> None:
    core = _core()
    taken = core.take([_record(0)], NOW_MS + 500)
    assert not taken.jobs
    assert _purposes(taken.publications) == {Purpose.FAILURE_REPLY}
    assert _failure(taken.publications[0]).code is ErrorCode.DEADLINE_EXCEEDED
    _acknowledge(core, taken.publications)
    assert (core.to_commit(), outcomes(core)) == ({AT: 1}, {"deadline_exceeded": 1})


def test_a_deadline_that_the_stage_reports_is_treated_alike() -> None:
    publications = _settle(_core(), 0, DeadlineExceeded(ErrorCode.DEADLINE_EXCEEDED, "late"))
    assert _purposes(publications) == {Purpose.FAILURE_REPLY}


def test_a_record_without_headers_is_dead_lettered_and_nobody_told() -> None:
    core = _core()
    taken = core.take([Record(TOPIC, 0, 0, NOW_MS, None, b"\xc1", ())], NOW_MS)
    assert _purposes(taken.publications) == {Purpose.DEAD_LETTER}
    assert DeadLetterReason.from_headers(taken.publications[0].outgoing.headers).code == "missing_header"


def test_details_that_have_no_place_on_the_wire_do_not_silence_the_reply() -> None:
    odd = InvalidRequest(ErrorCode.TEXT_EMPTY, "m" * 5_000, what=object())  # type: ignore[arg-type]
    reply = _one(_settle(_core(), 0, odd), Purpose.FAILURE_REPLY)
    assert (_failure(reply).code, len(_failure(reply).message)) == (ErrorCode.TEXT_EMPTY, 500)


def test_a_lost_publication_is_published_again() -> None:
    core = _core()
    (publication,) = _settle(core, 0, FORWARD)
    assert core.failed(publication, PublishFailure.LOST, 0) == [publication]
    core.acknowledged(publication, 0)
    assert core.to_commit() == {AT: 1}


def test_a_result_that_is_too_large_fails_its_record() -> None:
    core = _core()
    (publication,) = _settle(core, 0, FORWARD)
    replacement = core.failed(publication, PublishFailure.TOO_LARGE, 0)
    assert _purposes(replacement) == {Purpose.DEAD_LETTER, Purpose.FAILURE_REPLY}
    assert _failure(_one(replacement, Purpose.FAILURE_REPLY)).code is ErrorCode.MESSAGE_TOO_LARGE
    _acknowledge(core, replacement)
    assert (core.to_commit(), outcomes(core)) == ({AT: 1}, {"message_too_large": 1})


def test_a_next_topic_that_refuses_fails_its_record_and_names_the_topic() -> None:
    core = _core()
    replacement = core.failed(_settle(core, 0, FORWARD)[0], PublishFailure.REFUSED, 0)
    error = _failure(_one(replacement, Purpose.FAILURE_REPLY))
    assert (error.code, error.details["topic"]) == (ErrorCode.TOPICS_MISSING, FORWARD.topic)


@pytest.mark.parametrize("outcome", [Answer(b"p"), DeadlineExceeded(ErrorCode.DEADLINE_EXCEEDED, "late")])
def test_a_reply_that_cannot_be_written_is_dead_lettered_and_not_sent_again(outcome: Outcome) -> None:
    core = _core()
    (reply,) = _settle(core, 0, outcome)
    replacement = core.failed(reply, PublishFailure.REFUSED, 0)
    assert _purposes(replacement) == {Purpose.DEAD_LETTER}
    reason = DeadLetterReason.from_headers(replacement[0].outgoing.headers)
    assert (reason.code, "kafka_replyTopic" in reason.message) == ("invalid_header", True)
    _acknowledge(core, replacement)
    assert core.to_commit() == {AT: 1}


def test_a_failure_reply_that_cannot_be_written_leaves_the_dead_letter() -> None:
    core = _core()
    publications = _settle(core, 0, REFUSED)
    assert core.failed(_one(publications, Purpose.FAILURE_REPLY), PublishFailure.REFUSED, 0) == []
    assert core.to_commit() == {}
    core.acknowledged(_one(publications, Purpose.DEAD_LETTER), 0)
    assert (core.to_commit(), outcomes(core)) == ({AT: 1}, {"text_empty": 1})


def test_a_dead_letter_that_is_too_large_is_written_without_its_record() -> None:
    core = _core()
    letter = _one(_settle(core, 5, REFUSED), Purpose.DEAD_LETTER)
    (bare,) = core.failed(letter, PublishFailure.TOO_LARGE, 0)
    assert (bare.outgoing.key, bare.outgoing.value) == (None, None)
    assert DeadLetterReason.from_headers(bare.outgoing.headers).offset == 5


def test_nothing_is_committed_past_a_refused_dead_letter_until_it_is_taken() -> None:
    core = _core(patience_s=30.0)
    letter, reply = _settle(core, 0, REFUSED)
    core.acknowledged(reply, 0)
    assert core.failed(letter, PublishFailure.REFUSED, 100.0) == []
    _acknowledge(core, _settle(core, 1, FORWARD))
    assert core.to_commit() == {}
    assert core.retries() == [letter]
    assert core.retries() == []
    assert core.failed(letter, PublishFailure.REFUSED, 129.0) == []
    (again,) = core.retries()
    core.acknowledged(again, 129.5)
    assert core.to_commit() == {AT: 2}


def test_dead_letters_that_stay_refused_stop_the_worker() -> None:
    core = _core(patience_s=30.0)
    letter, _ = _settle(core, 0, REFUSED)
    core.failed(letter, PublishFailure.REFUSED, 100.0)
    with pytest.raises(BrokerError) as error:
        core.failed(letter, PublishFailure.REFUSED, 130.5)
    assert error.value.details == {"topic": f"{TOPIC}-dlt", "seconds": 30.5}
    assert core.to_commit() == {}


def test_what_belongs_to_a_forgotten_partition_comes_to_nothing() -> None:
    core = _core()
    (publication,) = _settle(core, 0, FORWARD)
    letter, _ = _settle(core, 1, REFUSED)
    core.failed(letter, PublishFailure.REFUSED, 0)
    core.forget([AT])
    core.acknowledged(publication, 0)
    assert core.failed(publication, PublishFailure.LOST, 0) == []
    assert core.retries() == []
    assert (core.to_commit(), core.unfinished, core.partitions, outcomes(core)) == ({}, 0, (), {})
    assert not _take(core, 2).tickets
    core.assign([AT])
    core.acknowledged(publication, 0)
    assert core.to_commit() == {}
    _acknowledge(core, _settle(core, 0, FORWARD))
    assert core.to_commit() == {AT: 1}


def test_a_topic_that_was_made_anew_starts_anew() -> None:
    core = _core()
    (old,) = _settle(core, 9, FORWARD)
    (new,) = _settle(core, 0, FORWARD)
    core.acknowledged(old, 0)
    assert core.to_commit() == {}
    core.acknowledged(new, 0)
    assert core.to_commit() == {AT: 1}


def test_rewinding_says_where_to_begin_and_forgets_what_was_under_way() -> None:
    core = _core()
    (publication,) = _settle(core, 4, FORWARD)
    assert core.rewind() == {AT: 4}
    assert core.rewind() == {}
    core.acknowledged(publication, 0)
    assert (core.to_commit(), core.unfinished) == ({}, 0)
    assert _take(core, 4).tickets


def test_in_a_transaction_a_failed_publication_is_remembered_until_its_record_is_done() -> None:
    core = _core()
    (publication,) = _settle(core, 0, FORWARD)
    assert core.remember(publication, PublishFailure.REFUSED, 0)
    core.rewind()
    for _ in range(2):  # the transaction may fail again, for another reason
        taken = _take(core, 0)
        assert not taken.jobs
        assert _failure(_one(taken.publications, Purpose.FAILURE_REPLY)).code is ErrorCode.TOPICS_MISSING
        core.rewind()
    _acknowledge(core, _take(core, 0).publications)
    core.release_all()
    core.commit_requested(core.to_commit())
    core.rewind()
    assert _take(core, 0).jobs


def test_in_a_transaction_a_dead_letter_that_is_too_large_is_bare_the_next_time() -> None:
    core = _core()
    letter = _one(_settle(core, 0, REFUSED), Purpose.DEAD_LETTER)
    assert core.remember(letter, PublishFailure.TOO_LARGE, 0)
    core.rewind()
    again = _take(core, 0).publications
    assert _one(again, Purpose.DEAD_LETTER).outgoing.value is None
    assert _purposes(again) == {Purpose.DEAD_LETTER, Purpose.FAILURE_REPLY}


def test_what_failed_of_an_earlier_transaction_is_of_no_interest() -> None:
    core = _core()
    (publication,) = _settle(core, 0, FORWARD)
    core.rewind()
    assert not core.remember(publication, PublishFailure.REFUSED, 0)
    assert _take(core, 0).jobs


def test_a_run_of_systemic_failures_is_committed_only_once_it_has_ended() -> None:
    core = _core(HaltPolicy(grace_s=5.0))
    for offset in range(3):
        _acknowledge(core, _settle(core, offset, SYSTEMIC), now=10.0)
    assert core.to_commit() == {}
    _acknowledge(core, _settle(core, 3, FORWARD), now=11.0)
    assert core.to_commit() == {AT: 4}


def test_a_lone_systemic_failure_is_committed_after_the_grace() -> None:
    core = _core(HaltPolicy(grace_s=5.0))
    _acknowledge(core, _settle(core, 0, SYSTEMIC), now=10.0)
    core.release(14.9)
    assert core.to_commit() == {}
    core.release(15.0)
    assert core.to_commit() == {AT: 1}


def test_a_halted_worker_leaves_the_failing_tail_uncommitted() -> None:
    core = _core(HaltPolicy(window=20, minimum=10, share=0.9))
    _acknowledge(core, _settle(core, 0, FORWARD))

    def fail_all() -> None:
        for offset in range(1, 20):
            _acknowledge(core, _settle(core, offset, SYSTEMIC))

    with pytest.raises(InternalError) as halted:
        fail_all()
    assert halted.value.code is ErrorCode.WORKER_HALTED
    assert core.to_commit() == {AT: 1}
