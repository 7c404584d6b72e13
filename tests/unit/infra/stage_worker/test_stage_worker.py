"""The worker over Kafka in memory, one step at a time, with a clock that a test sets."""

import signal
from collections.abc import Sequence

import pytest

from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.stage.halting import HaltPolicy
from manyheads.infra.stage.options import LaneInput, StageOptions
from manyheads.infra.stage.work import Job
from manyheads.infra.stage.worker import StageWorker, run_until_signalled
from manyheads.topics.errors import BrokerError, ErrorCode, InternalError
from manyheads.topics.headers import DeadLetterReason
from manyheads.topics.names import Lane
from tests.support.stages import ANSWER, FAIL, MALFORMED, RAISE, AskedStage, request
from tests.unit.infra.stage_worker.loop import (
    BATCH,
    BOTH,
    LANES,
    LIVE,
    REPLIES,
    Start,
    StoppedClock,
    ids,
    steps,
    total,
    write,
)


@BOTH
def test_everything_is_answered_and_committed(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    write(kafka, lane.topic, range(40))
    worker = start([lane])
    steps(worker, time, 10)
    assert ids(kafka.read(REPLIES)) == list(range(40))
    assert total(kafka.committed(lane.group)) == 40


@BOTH
def test_while_the_broker_is_away_nothing_is_lost_or_wedged(
    kafka: MemoryKafka, start: Start, time: StoppedClock, stage: AskedStage, lane: LaneInput
) -> None:
    worker = start([lane])
    write(kafka, lane.topic, range(10))
    worker.step()
    with kafka.away():
        steps(worker, time, 10)
    write(kafka, lane.topic, range(10, 20))
    steps(worker, time, 10)
    assert ids(kafka.read(REPLIES)) == list(range(20))
    assert total(kafka.committed(lane.group)) == 20


def test_a_broker_that_goes_away_while_a_stage_computes_gets_the_results_later(
    kafka: MemoryKafka, time: StoppedClock
) -> None:
    away = kafka.away()

    def leave(_jobs: Sequence[Job]) -> None:
        away.__enter__()

    stage = AskedStage(on_process=leave)
    worker = StageWorker(kafka, stage, LANES[:1], clock=time.clock)
    worker.open()
    worker.step()
    kafka.write(request(LIVE, 1))
    worker.step()
    worker.step()
    assert kafka.read(REPLIES) == []
    steps(worker, time)
    assert kafka.committed("live") == {}
    away.__exit__(None, None, None)
    stage.on_process = None
    steps(worker, time)
    assert ids(kafka.read(REPLIES)) == [1]
    assert total(kafka.committed("live")) == 1


@BOTH
def test_a_bad_record_stops_and_fails_no_other(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    values = [ANSWER, FAIL, ANSWER, RAISE, ANSWER]
    for number, value in enumerate(values):
        kafka.write(request(lane.topic, number, value, partition=0))
    worker = start([lane], StageOptions(max_take=1, batch_take=1))
    steps(worker, time, 40)
    assert ids(kafka.read(REPLIES)) == [0, 1, 2, 3, 4]
    letters = kafka.read(f"{lane.topic}-dlt")
    reasons = {letter.value: DeadLetterReason.from_headers(letter.headers).code for letter in letters}
    assert reasons == {FAIL: "text_empty", RAISE: "internal"}
    assert total(kafka.committed(lane.group)) == 5


@BOTH
def test_a_reply_topic_that_does_not_exist_is_dead_lettered(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    kafka.write(request(lane.topic, 1, reply_to="misspelt", partition=0))
    kafka.write(request(lane.topic, 2, partition=0))
    worker = start([lane])
    steps(worker, time)
    (letter,) = kafka.read(f"{lane.topic}-dlt")
    assert DeadLetterReason.from_headers(letter.headers).code == "invalid_header"
    assert ids(kafka.read(REPLIES)) == [2]
    assert total(kafka.committed(lane.group)) == 2


@BOTH
def test_a_reply_topic_that_turns_out_to_be_forbidden_is_dead_lettered_once(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    kafka.write(request(lane.topic, 1, reply_to="elsewhere", partition=0))
    kafka.write(request(lane.topic, 2, partition=0))
    worker = start([lane])
    with kafka.denying("elsewhere"):
        steps(worker, time)
    assert len(kafka.read(f"{lane.topic}-dlt")) == 1
    assert ids(kafka.read(REPLIES)) == [2]
    assert total(kafka.committed(lane.group)) == 2


@BOTH
def test_while_a_publisher_is_full_nothing_more_is_taken(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    kafka.write(request(lane.topic, 1))
    worker = start([lane])
    with kafka.with_full_publishers():
        steps(worker, time)
        assert kafka.read(REPLIES) == []
    steps(worker, time)
    assert ids(kafka.read(REPLIES)) == [1]


@BOTH
def test_while_dead_letters_are_refused_nothing_is_committed_past_them(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    for number, value in enumerate([ANSWER, FAIL, ANSWER]):
        kafka.write(request(lane.topic, number, value, partition=0))
    worker = start([lane])
    with kafka.denying(f"{lane.topic}-dlt"):
        steps(worker, time, 20)
        assert total(kafka.committed(lane.group)) <= 1
    steps(worker, time, 20)
    assert len(kafka.read(f"{lane.topic}-dlt")) == 1
    assert total(kafka.committed(lane.group)) == 3


@BOTH
def test_while_a_dead_letter_topic_is_missing_nothing_is_committed_past_it_nor_seen_twice(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    for number, value in enumerate([FAIL, ANSWER]):
        kafka.write(request(lane.topic, number, value, partition=0))
    worker = start([lane])
    kafka.delete_topic(f"{lane.topic}-dlt")
    steps(worker, time, 20)
    assert kafka.committed(lane.group) == {}
    if lane.lane is Lane.BATCH:
        assert kafka.read(REPLIES) == []
    kafka.create_topic(f"{lane.topic}-dlt", 1)
    steps(worker, time, 20)
    assert len(kafka.read(f"{lane.topic}-dlt")) == 1
    assert ids(kafka.read(REPLIES)) == [0, 1]
    assert total(kafka.committed(lane.group)) == 2


@BOTH
def test_a_commit_that_the_broker_missed_is_made_again(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    kafka.write(request(lane.topic, 1))
    worker = start([lane])
    worker.step()
    worker.step()
    with kafka.away():
        steps(worker, time)
    steps(worker, time)
    assert total(kafka.committed(lane.group)) == 1


@BOTH
def test_dead_letters_that_stay_refused_stop_the_worker(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    kafka.write(request(lane.topic, 1, FAIL))
    worker = start([lane], StageOptions(dead_letter_patience_s=10))
    with kafka.denying(f"{lane.topic}-dlt"):
        with pytest.raises(BrokerError) as error:
            steps(worker, time, 100)
        assert error.value.code is ErrorCode.TOPICS_MISSING
        assert kafka.committed(lane.group) == {}


@BOTH
def test_a_worker_that_fails_everything_halts_and_commits_none_of_it(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    write(kafka, lane.topic, range(10))
    worker = start([lane], StageOptions(halting=HaltPolicy(window=40, minimum=40, share=0.75)))
    steps(worker, time)
    write(kafka, lane.topic, range(10, 100), MALFORMED)
    with pytest.raises(InternalError) as halted:
        steps(worker, time, 50, each_s=0.01)
    assert halted.value.code is ErrorCode.WORKER_HALTED
    worker.abandon(halted.value)
    assert total(kafka.committed(lane.group)) == 10


def test_a_batch_lane_full_of_garbage_halts_alone(
    kafka: MemoryKafka, start: Start, time: StoppedClock, stage: AskedStage
) -> None:
    worker = start(LANES)
    write(kafka, BATCH, range(100), MALFORMED)
    steps(worker, time, 40, each_s=0.01)
    assert kafka.committed("batch") == {}
    write(kafka, LIVE, range(5))
    steps(worker, time)
    assert ids(kafka.read(REPLIES)) == list(range(5))
    assert total(kafka.committed("live")) == 5


def test_no_more_is_taken_than_may_be_in_flight(kafka: MemoryKafka, time: StoppedClock) -> None:
    stage = AskedStage()
    options = StageOptions(max_in_flight=20, halting=HaltPolicy(window=10, minimum=10), starvation_s=60)
    worker = StageWorker(kafka, stage, LANES[:1], options, clock=time.clock)
    worker.open()
    worker.step()
    for number in range(30):
        kafka.write(request(LIVE, number, FAIL))
    with kafka.denying(f"{LIVE}-dlt"):
        steps(worker, time, 20, each_s=0.01)
        assert len(stage.jobs) == 20
    steps(worker, time, 20)
    assert len(stage.jobs) == 30


@BOTH
def test_nothing_is_consumed_before_the_stage_is_prepared(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: StoppedClock, lane: LaneInput
) -> None:
    stage.prepared = False
    write(kafka, lane.topic, range(4))
    worker = start([lane])
    steps(worker, time)
    assert (stage.assigned_partitions, stage.partition_count, stage.jobs) == ({0, 1}, 2, [])
    stage.prepared = True
    steps(worker, time)
    assert ids(kafka.read(REPLIES)) == [0, 1, 2, 3]


@BOTH
def test_a_worker_that_was_expelled_commits_nothing_and_takes_all_of_it_again(
    kafka: MemoryKafka, stage: AskedStage, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    worker = start([lane])
    write(kafka, lane.topic, range(5))
    stage.on_process = lambda _jobs: kafka.expel(lane.group)
    worker.step()
    stage.on_process = None
    steps(worker, time, 10)
    replies = ids(kafka.read(REPLIES))
    assert set(replies) == set(range(5))
    if lane.lane is Lane.BATCH:
        assert len(replies) == 5
    assert total(kafka.committed(lane.group)) == 5


def test_a_transaction_that_timed_out_is_done_again_and_seen_once(
    kafka: MemoryKafka, start: Start, time: StoppedClock
) -> None:
    worker = start(LANES[1:])
    write(kafka, BATCH, range(8))
    worker.step()
    kafka.time_out_transactions()
    steps(worker, time, 10)
    assert ids(kafka.read(REPLIES)) == list(range(8))
    assert len(kafka.read_uncommitted(REPLIES)) == 16
    assert total(kafka.committed("batch")) == 8


def test_a_killed_workers_transaction_is_cleared_away_by_its_successor(
    kafka: MemoryKafka, start: Start, time: StoppedClock
) -> None:
    options = StageOptions(instance="pod-0")
    write(kafka, BATCH, range(8))
    killed = start(LANES[1:], options)
    killed.step()
    assert kafka.read_uncommitted(REPLIES)
    kafka.expel("batch")
    steps(start(LANES[1:], options), time, 10)
    assert ids(kafka.read(REPLIES)) == list(range(8))


@BOTH
def test_two_workers_share_the_partitions_and_hand_over_without_loss_or_repetition(
    kafka: MemoryKafka, start: Start, time: StoppedClock, lane: LaneInput
) -> None:
    # The first commits only when it must.
    first = start(
        [lane],
        StageOptions(
            max_take=2,
            batch_take=2,
            commit_interval_s=1e6,
            transaction_interval_s=1e6,
            idle_transaction_interval_s=1e6,
        ),
    )
    write(kafka, lane.topic, range(20))
    steps(first, time, 8)
    assert kafka.committed(lane.group) == {}
    second = start([lane])
    for _ in range(10):
        steps(first, time, 1)
        steps(second, time, 1)
    first.close()
    write(kafka, lane.topic, range(20, 30))
    steps(second, time, 10)
    assert ids(kafka.read(REPLIES)) == list(range(30))
    assert total(kafka.committed(lane.group)) == 30


@BOTH
def test_closing_finishes_and_commits_what_was_taken(
    kafka: MemoryKafka, start: Start, stage: AskedStage, lane: LaneInput
) -> None:
    worker = start([lane])
    write(kafka, lane.topic, range(5))
    worker.step()
    worker.close()
    assert total(kafka.committed(lane.group)) == 5
    assert ids(kafka.read(REPLIES)) == list(range(5))
    assert stage.assigned_partitions == set()


def test_an_expired_request_is_answered_without_being_computed(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: StoppedClock
) -> None:
    kafka.write(request(LIVE, 1, deadline_ms=int(time.seconds * 1000)))
    steps(start(LANES[:1]), time)
    assert stage.jobs == []
    assert ids(kafka.read(REPLIES)) == [1]
    assert kafka.read(f"{LIVE}-dlt") == []


def test_missing_topics_are_named() -> None:
    worker = StageWorker(MemoryKafka({LIVE: 1}), AskedStage(), LANES)
    with pytest.raises(BrokerError) as error:
        worker.run()
    assert error.value.code is ErrorCode.TOPICS_MISSING
    assert error.value.details["topics"] == f"{BATCH}, {LIVE}-dlt, {BATCH}-dlt"


def test_run_works_until_it_is_stopped_and_drains(kafka: MemoryKafka, stage: AskedStage) -> None:
    worker = StageWorker(kafka, stage, LANES)
    stage.on_process = lambda _jobs: worker.stop()
    write(kafka, LIVE, range(3))
    worker.run()
    assert ids(kafka.read(REPLIES)) == [0, 1, 2]
    assert total(kafka.committed("live")) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_worker(kafka: MemoryKafka, stage: AskedStage, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    worker = StageWorker(kafka, stage, LANES)
    stage.on_process = lambda _jobs: signal.raise_signal(number)
    write(kafka, LIVE, range(3))
    run_until_signalled(worker)
    assert total(kafka.committed("live")) == 3
    assert signal.getsignal(number) is before


def test_a_failing_prepare_stops_the_worker_with_what_is_finished_committed(
    kafka: MemoryKafka, stage: AskedStage
) -> None:
    worker = StageWorker(kafka, stage, LANES)

    def break_down(_jobs: Sequence[Job]) -> None:
        def fail(budget_s: float) -> bool:
            raise InternalError(ErrorCode.INTERNAL, "the registry is gone")

        stage.prepare = fail  # type: ignore[method-assign]

    stage.on_process = break_down
    write(kafka, LIVE, range(3))
    with pytest.raises(InternalError, match="the registry is gone"):
        worker.run()
    assert ids(kafka.read(REPLIES)) == [0, 1, 2]
