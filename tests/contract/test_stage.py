"""The stage loop over either Kafka: every record done for, once in a transaction, and committed."""

from collections.abc import Callable, Sequence

import pytest

from manyheads.infra.kafka.records import Outgoing, Record
from manyheads.infra.stage.halting import HaltPolicy
from manyheads.infra.stage.options import LaneInput, StageOptions
from manyheads.infra.stage.worker import StageWorker
from manyheads.topics.errors import ErrorCode, InternalError
from manyheads.topics.headers import DeadLetterReason, Envelope, correlation_id_of
from manyheads.topics.messages import Reply
from manyheads.topics.names import Lane, ring
from tests.contract.conftest import Cluster
from tests.support.stages import ANSWER, FAIL, FORWARD, MALFORMED, RAISE, AskedStage, request

Until = Callable[[Callable[[], bool], Callable[[], object]], None]
EN = ring("en")
BOTH = pytest.mark.parametrize("lane", list(Lane))


def _worker(cluster: Cluster, stage: AskedStage, each: LaneInput, options: StageOptions | None = None) -> StageWorker:
    worker = StageWorker(cluster.transport, stage, [each], options)
    worker.open()
    return worker


def _ids(records: Sequence[Record]) -> list[int]:
    return sorted(int(correlation_id_of(record.headers) or b"-1") for record in records)


def _codes(replies: Sequence[Record]) -> dict[int, str]:
    """The code of each failure reply, by request."""
    codes = {}
    for record in replies:
        if record.value != ANSWER:
            failure = Reply.from_bytes(record.value).failure
            assert failure is not None
            codes[int(correlation_id_of(record.headers) or b"-1")] = failure.code
    return codes


@BOTH
def test_each_kind_of_record_gets_what_it_is_due(cluster: Cluster, group: str, until: Until, lane: Lane) -> None:
    topic, replies, forwarded = cluster.create(2), cluster.create(1), cluster.create(4)
    stage = AskedStage(forward_to=forwarded)
    cluster.write(
        *(request(topic, n, value, reply_to=replies) for n, value in enumerate([ANSWER, FAIL, FORWARD, ANSWER])),
        request(topic, 4, reply_to=replies, deadline_ms=1),
        request(topic, 5, reply_to="no-such-topic"),
        Outgoing(topic, b"\xc1\xff", None, ()),
        request(topic, 6, ANSWER, reply_to=replies),
    )
    worker = _worker(cluster, stage, LaneInput(lane, EN, topic, group))
    until(lambda: sum(cluster.committed(group, topic).values()) >= 8, worker.step)
    worker.close()
    answers = cluster.read(replies)
    assert _ids(answers) == [0, 1, 3, 4, 6]
    assert _codes(answers) == {1: "text_empty", 4: "deadline_exceeded"}
    (result,) = cluster.read(forwarded)
    assert Envelope.from_headers(result.headers).reply.correlation_id == b"2"
    letters = [DeadLetterReason.from_headers(letter.headers).code for letter in cluster.read(f"{topic}-dlt")]
    assert sorted(letters) == ["invalid_header", "missing_header", "text_empty"]


@BOTH
def test_closing_leaves_nothing_behind(cluster: Cluster, group: str, until: Until, lane: Lane) -> None:
    topic, replies = cluster.create(2), cluster.create(1)
    cluster.write(*(request(topic, n, reply_to=replies) for n in range(50)))
    stage = AskedStage()
    worker = _worker(cluster, stage, LaneInput(lane, EN, topic, group))
    until(lambda: len(stage.jobs) > 0, worker.step)
    worker.close()
    done = len(stage.jobs)
    assert sum(cluster.committed(group, topic).values()) == done
    assert len(cluster.read(replies)) == done
    assert stage.assigned_partitions == set()
    worker = _worker(cluster, stage, LaneInput(lane, EN, topic, group))
    until(lambda: len(stage.jobs) >= 50, worker.step)
    worker.close()
    assert _ids(cluster.read(replies)) == list(range(50))


@BOTH
def test_nothing_is_consumed_before_the_stage_is_prepared(
    cluster: Cluster, group: str, until: Until, lane: Lane
) -> None:
    topic, replies = cluster.create(2), cluster.create(1)
    cluster.write(*(request(topic, n, reply_to=replies) for n in range(10)))
    stage = AskedStage()
    stage.prepared = False
    worker = _worker(cluster, stage, LaneInput(lane, EN, topic, group))
    until(lambda: stage.assigned_partitions == {0, 1}, worker.step)
    assert stage.partition_count == 2
    for _ in range(10):
        worker.step()
    assert stage.jobs == []
    stage.prepared = True
    until(lambda: len(stage.jobs) == 10, worker.step)
    worker.close()


@BOTH
def test_a_second_worker_takes_over_without_loss_or_repetition(
    cluster: Cluster, group: str, until: Until, lane: Lane
) -> None:
    topic, replies = cluster.create(2), cluster.create(1)
    first_stage, second_stage = AskedStage(), AskedStage()
    cluster.write(*(request(topic, n, reply_to=replies) for n in range(200)))
    first = _worker(cluster, first_stage, LaneInput(lane, EN, topic, group), StageOptions(max_take=4, batch_take=4))
    until(lambda: len(first_stage.jobs) >= 20, first.step)
    second = _worker(cluster, second_stage, LaneInput(lane, EN, topic, group), StageOptions(max_take=4, batch_take=4))
    until(lambda: len(second_stage.assigned_partitions) == 1, lambda: (first.step(), second.step()))
    first.close()
    cluster.write(*(request(topic, n, reply_to=replies) for n in range(200, 220)))
    until(lambda: sum(cluster.committed(group, topic).values()) == 220, second.step)
    second.close()
    assert _ids(cluster.read(replies)) == list(range(220))


@BOTH
def test_a_stage_that_raises_harms_its_own_batch_only(cluster: Cluster, group: str, until: Until, lane: Lane) -> None:
    topic, replies = cluster.create(1), cluster.create(1)
    values = [ANSWER, RAISE, ANSWER, ANSWER]
    cluster.write(*(request(topic, n, value, reply_to=replies) for n, value in enumerate(values)))
    worker = _worker(cluster, AskedStage(), LaneInput(lane, EN, topic, group), StageOptions(max_take=2, batch_take=2))
    until(lambda: sum(cluster.committed(group, topic).values()) == 4, worker.step)
    worker.close()
    assert _codes(cluster.read(replies)) == {1: "internal"}


@BOTH
def test_a_worker_that_fails_everything_halts_and_leaves_the_records(
    cluster: Cluster, group: str, until: Until, lane: Lane
) -> None:
    topic, replies = cluster.create(1), cluster.create(1)
    cluster.write(*(request(topic, n, MALFORMED, reply_to=replies) for n in range(100)))
    policy = HaltPolicy(window=40, minimum=40, share=0.9)
    worker = _worker(cluster, AskedStage(), LaneInput(lane, EN, topic, group), StageOptions(halting=policy))
    with pytest.raises(InternalError) as halted:
        until(lambda: False, worker.step)
    assert halted.value.code is ErrorCode.WORKER_HALTED
    worker.abandon(halted.value)
    assert cluster.committed(group, topic) == {}
