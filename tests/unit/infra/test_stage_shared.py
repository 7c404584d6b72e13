"""A record for several tenants: each gets what a request of its own would get, and none is committed before all."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from manyheads.infra.kafka.records import Record, TopicPartition
from manyheads.infra.kafka.transport import PublishFailure
from manyheads.infra.stage.core import LaneCore
from manyheads.infra.stage.halting import HaltPolicy
from manyheads.infra.stage.tickets import Publication, Purpose, Taken
from manyheads.infra.stage.work import Answer, Forward
from manyheads.topics.errors import ErrorCode, InvalidRequest, WireError
from manyheads.topics.headers import TARGET, Envelope, ReplyAddress, Target, correlation_id_of
from manyheads.topics.messages import Reply
from manyheads.topics.names import tenant

AT = TopicPartition("nlu.en.requests.batch", 0)
NOW_MS = 1_000
TENANTS = ("acme-bank", "plain-shop", "zoo")
ENVELOPE = Envelope(
    tenant(TENANTS[0]),
    ReplyAddress(b"id-0", "nlu.replies", 2),
    NOW_MS + 500,
    further=(Target(tenant(TENANTS[1]), b"id-1"), Target(tenant(TENANTS[2]), b"id-2")),
)
REFUSED = InvalidRequest(ErrorCode.TEXT_EMPTY, "empty")


@pytest.fixture
def core() -> LaneCore:
    core = LaneCore(HaltPolicy(), 30.0)
    core.assign([AT])
    return core


def _take(core: LaneCore, now_ms: int = NOW_MS, *more: tuple[str, bytes]) -> Taken:
    headers = (("x-own", b"1"), *ENVELOPE.to_headers(), *more)
    return core.take([Record(*AT, 7, NOW_MS - 10, None, b"value", headers)], now_ms)


def _told(publications: Sequence[Publication]) -> dict[bytes, str]:
    """The code that each client call was told of."""
    told = {}
    for publication in publications:
        if publication.purpose is Purpose.FAILURE_REPLY:
            failure = Reply.from_bytes(publication.outgoing.value).failure
            assert failure is not None
            told[correlation_id_of(publication.outgoing.headers) or b""] = failure.code
    return told


def test_each_tenant_has_a_job_as_if_asked_alone(core: LaneCore) -> None:
    taken = _take(core)
    assert [job.envelope.tenant for job in taken.jobs] == list(TENANTS)
    assert [job.envelope.reply.correlation_id for job in taken.jobs] == [b"id-0", b"id-1", b"id-2"]
    for job in taken.jobs:
        assert (job.record.value, job.record.offset, job.envelope.further) == (b"value", 7, ())
        alone = replace(job.envelope, requested_ms=None)
        assert Envelope.from_headers(job.record.headers) == alone
        assert ("x-own", b"1") in job.record.headers


def test_the_record_is_committed_once_all_are_done(core: LaneCore) -> None:
    tickets = _take(core).tickets
    forward = Forward("nlu.en.c0.embeddings.batch", b"key", b"x")
    publications = [core.settle(ticket, forward)[0] for ticket in tickets]
    assert core.unfinished == 1
    for publication in publications:
        assert core.to_commit() == {}
        core.acknowledged(publication, 0)
    assert core.to_commit() == {AT: 8}
    assert [(each.tenant, each.outcome) for each in core.finished] == [(name, "ok") for name in TENANTS]


def test_one_tenants_failure_is_its_own(core: LaneCore) -> None:
    tickets = _take(core).tickets
    failed = core.settle(tickets[1], REFUSED)
    assert _told(failed) == {b"id-1": "text_empty"}
    letter = next(each.outgoing for each in failed if each.purpose is Purpose.DEAD_LETTER)
    again = Envelope.from_headers(letter.headers)
    assert (again.tenant, again.further) == (TENANTS[1], ())  # so that it can be sent again alone
    (answer,) = core.settle(tickets[0], Answer(b"x"))
    assert correlation_id_of(answer.outgoing.headers) == b"id-0"


def test_a_passed_deadline_is_told_to_each(core: LaneCore) -> None:
    taken = _take(core, NOW_MS + 500)
    assert _told(taken.publications) == dict.fromkeys((b"id-0", b"id-1", b"id-2"), "deadline_exceeded")
    for publication in taken.publications:
        core.acknowledged(publication, 0)
    assert core.to_commit() == {AT: 8}


def test_headers_that_cannot_be_used_are_told_to_all_who_can_be(core: LaneCore) -> None:
    taken = _take(core, NOW_MS, (TARGET, b"No Tenant:id-3"))
    assert not taken.jobs
    assert _told(taken.publications) == dict.fromkeys((b"id-0", b"id-1", b"id-2", b"id-3"), "invalid_header")
    letters = [each for each in taken.publications if each.purpose is Purpose.DEAD_LETTER]
    assert len(letters) == 1
    for publication in taken.publications:
        assert core.to_commit() == {}
        core.acknowledged(publication, 0)
    assert core.to_commit() == {AT: 8}


def test_a_transaction_that_one_result_broke_fails_that_tenant_alone_when_taken_again(core: LaneCore) -> None:
    tickets = _take(core).tickets
    forward = Forward("nlu.en.c9.embeddings.batch", b"key", b"x")
    (publication,) = core.settle(tickets[2], forward)
    assert core.remember(publication, PublishFailure.REFUSED, 0.0)
    core.rewind()
    taken = _take(core)
    assert [job.envelope.tenant for job in taken.jobs] == list(TENANTS[:2])
    assert _told(taken.publications) == {b"id-2": "topics_missing"}


def test_withheld_failures_leave_together(core: LaneCore) -> None:
    error = WireError(ErrorCode.MALFORMED_MESSAGE, "malformed")
    for ticket in _take(core).tickets:
        for publication in core.settle(ticket, error):
            core.acknowledged(publication, 0.0)
    assert core.withholds
    assert core.to_commit() == {}
    core.release(HaltPolicy().grace_s)
    assert core.to_commit() == {AT: 8}
