"""The worker over Kafka in memory, one step at a time, with a clock that a test sets."""

import signal
from collections.abc import Callable, Sequence

import pytest

from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.kafka.records import Record, TopicPartition
from manyheads.infra.stage.halting import HaltPolicy
from manyheads.infra.stage.options import Clock, LaneInput, StageOptions
from manyheads.infra.stage.work import Job
from manyheads.infra.stage.worker import StageWorker, run_until_signalled
from manyheads.topics.errors import BrokerError, ErrorCode, InternalError
from manyheads.topics.headers import DeadLetterReason, correlation_id_of
from manyheads.topics.names import Lane, ring
from tests.support.stages import ANSWER, FAIL, MALFORMED, RAISE, AskedStage, request

LIVE = "nlu.en.requests"
BATCH = "nlu.en.requests.batch"
REPLIES = "nlu.replies"
LANES = (LaneInput(Lane.INTERACTIVE, ring("en"), LIVE, "live"), LaneInput(Lane.BATCH, ring("en"), BATCH, "batch"))
BOTH = pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.lane.value)


class _Time:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.clock = Clock(lambda: int(self.seconds * 1000), lambda: self.seconds)


@pytest.fixture
def time() -> _Time:
    return _Time()


@pytest.fixture
def kafka() -> MemoryKafka:
    topics = {LIVE: 2, BATCH: 2, f"{LIVE}-dlt": 1, f"{BATCH}-dlt": 1, REPLIES: 2, "elsewhere": 1}
    return MemoryKafka(topics, max_message_bytes=10_000)


@pytest.fixture
def stage() -> AskedStage:
    return AskedStage()


@pytest.fixture
def start(
    kafka: MemoryKafka, stage: AskedStage, time: _Time
) -> Callable[[Sequence[LaneInput], StageOptions | None], StageWorker]:
    def start(lanes: Sequence[LaneInput], options: StageOptions | None = None) -> StageWorker:
        worker = StageWorker(kafka, stage, lanes, options, clock=time.clock)
        worker.open()
        worker.step()  # joins
        return worker

    return start


Start = Callable[..., StageWorker]


def _ids(records: Sequence[Record]) -> list[int]:
    return sorted(int(correlation_id_of(record.headers) or b"-1") for record in records)


def _steps(worker: StageWorker, time: _Time, count: int = 6, each_s: float = 0.3) -> None:
    for _ in range(count):
        time.seconds += each_s
        worker.step()


def _write(kafka: MemoryKafka, topic: str, numbers: range, value: bytes = ANSWER) -> None:
    for number in numbers:
        kafka.write(request(topic, number, value))


def _sum(offsets: dict[TopicPartition, int]) -> int:
    return sum(offsets.values())


@BOTH
def test_everything_is_answered_and_committed(kafka: MemoryKafka, start: Start, time: _Time, lane: LaneInput) -> None:
    _write(kafka, lane.topic, range(40))
    worker = start([lane])
    _steps(worker, time, 10)
    assert _ids(kafka.read(REPLIES)) == list(range(40))
    assert _sum(kafka.committed(lane.group)) == 40


@BOTH
def test_while_the_broker_is_away_nothing_is_lost_or_wedged(
    kafka: MemoryKafka, start: Start, time: _Time, stage: AskedStage, lane: LaneInput
) -> None:
    worker = start([lane])
    _write(kafka, lane.topic, range(10))
    worker.step()
    with kafka.away():
        _steps(worker, time, 10)
    _write(kafka, lane.topic, range(10, 20))
    _steps(worker, time, 10)
    assert _ids(kafka.read(REPLIES)) == list(range(20))
    assert _sum(kafka.committed(lane.group)) == 20


def test_a_broker_that_goes_away_while_a_stage_computes_gets_the_results_later(kafka: MemoryKafka, time: _Time) -> None:
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
    _steps(worker, time)
    assert kafka.committed("live") == {}
    away.__exit__(None, None, None)
    stage.on_process = None
    _steps(worker, time)
    assert _ids(kafka.read(REPLIES)) == [1]
    assert _sum(kafka.committed("live")) == 1


@BOTH
def test_a_bad_record_stops_and_fails_no_other(kafka: MemoryKafka, start: Start, time: _Time, lane: LaneInput) -> None:
    values = [ANSWER, FAIL, ANSWER, RAISE, ANSWER]
    for number, value in enumerate(values):
        kafka.write(request(lane.topic, number, value, partition=0))
    worker = start([lane], StageOptions(max_take=1, batch_take=1))
    _steps(worker, time, 40)
    assert _ids(kafka.read(REPLIES)) == [0, 1, 2, 3, 4]
    letters = kafka.read(f"{lane.topic}-dlt")
    reasons = {letter.value: DeadLetterReason.from_headers(letter.headers).code for letter in letters}
    assert reasons == {FAIL: "text_empty", RAISE: "internal"}
    assert _sum(kafka.committed(lane.group)) == 5


@BOTH
def test_a_reply_topic_that_does_not_exist_is_dead_lettered(
    kafka: MemoryKafka, start: Start, time: _Time, lane: LaneInput
) -> None:
    kafka.write(request(lane.topic, 1, reply_to="misspelt", partition=0))
    kafka.write(request(lane.topic, 2, partition=0))
    worker = start([lane])
    _steps(worker, time)
    (letter,) = kafka.read(f"{lane.topic}-dlt")
    assert DeadLetterReason.from_headers(letter.headers).code == "invalid_header"
    assert _ids(kafka.read(REPLIES)) == [2]
    assert _sum(kafka.committed(lane.group)) == 2


@BOTH
def test_a_reply_topic_that_turns_out_to_be_forbidden_is_dead_lettered_once(
    kafka: MemoryKafka, start: Start, time: _Time, lane: LaneInput
) -> None:
    kafka.write(request(lane.topic, 1, reply_to="elsewhere", partition=0))
    kafka.write(request(lane.topic, 2, partition=0))
    worker = start([lane])
    with kafka.denying("elsewhere"):
        _steps(worker, time)
    assert len(kafka.read(f"{lane.topic}-dlt")) == 1
    assert _ids(kafka.read(REPLIES)) == [2]
    assert _sum(kafka.committed(lane.group)) == 2


@BOTH
def test_while_dead_letters_are_refused_nothing_is_committed_past_them(
    kafka: MemoryKafka, start: Start, time: _Time, lane: LaneInput
) -> None:
    for number, value in enumerate([ANSWER, FAIL, ANSWER]):
        kafka.write(request(lane.topic, number, value, partition=0))
    worker = start([lane])
    with kafka.denying(f"{lane.topic}-dlt"):
        _steps(worker, time, 20)
        assert _sum(kafka.committed(lane.group)) <= 1
    _steps(worker, time, 20)
    assert len(kafka.read(f"{lane.topic}-dlt")) == 1
    assert _sum(kafka.committed(lane.group)) == 3


@BOTH
def test_while_a_dead_letter_topic_is_missing_nothing_is_committed_past_it_nor_seen_twice(
    kafka: MemoryKafka, start: Start, time: _Time, lane: LaneInput
) -> None:
    for number, value in enumerate([FAIL, ANSWER]):
        kafka.write(request(lane.topic, number, value, partition=0))
    worker = start([lane])
    kafka.delete_topic(f"{lane.topic}-dlt")
    _steps(worker, time, 20)
    assert kafka.committed(lane.group) == {}
    if lane.lane is Lane.BATCH:
        assert kafka.read(REPLIES) == []
    kafka.create_topic(f"{lane.topic}-dlt", 1)
    _steps(worker, time, 20)
    assert len(kafka.read(f"{lane.topic}-dlt")) == 1
    assert _ids(kafka.read(REPLIES)) == [0, 1]
    assert _sum(kafka.committed(lane.group)) == 2


@BOTH
def test_a_commit_that_the_broker_missed_is_made_again(
    kafka: MemoryKafka, start: Start, time: _Time, lane: LaneInput
) -> None:
    kafka.write(request(lane.topic, 1))
    worker = start([lane])
    worker.step()
    worker.step()
    with kafka.away():
        _steps(worker, time)
    _steps(worker, time)
    assert _sum(kafka.committed(lane.group)) == 1


@BOTH
def test_dead_letters_that_stay_refused_stop_the_worker(
    kafka: MemoryKafka, start: Start, time: _Time, lane: LaneInput
) -> None:
    kafka.write(request(lane.topic, 1, FAIL))
    worker = start([lane], StageOptions(dead_letter_patience_s=10))
    with kafka.denying(f"{lane.topic}-dlt"):
        with pytest.raises(BrokerError) as error:
            _steps(worker, time, 100)
        assert error.value.code is ErrorCode.TOPICS_MISSING
        assert kafka.committed(lane.group) == {}


@BOTH
def test_a_worker_that_fails_everything_halts_and_commits_none_of_it(
    kafka: MemoryKafka, start: Start, time: _Time, lane: LaneInput
) -> None:
    _write(kafka, lane.topic, range(10))
    worker = start([lane], StageOptions(halting=HaltPolicy(window=40, minimum=40, share=0.75)))
    _steps(worker, time)
    _write(kafka, lane.topic, range(10, 100), MALFORMED)
    with pytest.raises(InternalError) as halted:
        _steps(worker, time, 50, each_s=0.01)
    assert halted.value.code is ErrorCode.WORKER_HALTED
    worker.abandon(halted.value)
    assert _sum(kafka.committed(lane.group)) == 10


def test_a_batch_lane_full_of_garbage_halts_alone(
    kafka: MemoryKafka, start: Start, time: _Time, stage: AskedStage
) -> None:
    worker = start(LANES)
    _write(kafka, BATCH, range(100), MALFORMED)
    _steps(worker, time, 40, each_s=0.01)
    assert kafka.committed("batch") == {}
    _write(kafka, LIVE, range(5))
    _steps(worker, time)
    assert _ids(kafka.read(REPLIES)) == list(range(5))
    assert _sum(kafka.committed("live")) == 5


def test_interactive_records_go_first_and_batch_records_in_small_bites(
    kafka: MemoryKafka, start: Start, stage: AskedStage
) -> None:
    worker = start(LANES, StageOptions(max_take=10, batch_take=3))
    _write(kafka, BATCH, range(6))
    _write(kafka, LIVE, range(100, 120))
    for _ in range(4):
        worker.step()
    assert [len(batch) for batch in stage.batches] == [10, 10, 3, 3]
    assert all(job.record.topic == LIVE for job in stage.jobs[:20])
    assert all(job.record.topic == BATCH for job in stage.jobs[20:])


def test_without_interactive_traffic_batch_records_go_in_larger_bites(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: _Time
) -> None:
    worker = start(LANES, StageOptions(batch_take=2, quiet_batch_take=5, quiet_after_s=3.0, starvation_s=60))
    _write(kafka, BATCH, range(40))
    sizes = []
    for live in (False, False, True, False, False, False):
        if live:
            _write(kafka, LIVE, range(100, 101))
        time.seconds += 1.5
        worker.step()
        sizes.append([len(batch) for batch in stage.batches])
        stage.batches.clear()
    assert sizes == [[2], [5], [1], [2], [5], [5]]


def test_beside_interactive_traffic_a_bite_is_as_large_as_its_time_allows_and_a_rest_follows(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: _Time
) -> None:
    def compute(jobs: Sequence[Job]) -> None:
        time.seconds += 0.002 * len(jobs)

    stage.on_process = compute
    worker = start(LANES, StageOptions(batch_take=3, batch_compute_s=0.0045, batch_share=0.25, starvation_s=60))
    _write(kafka, BATCH, range(40))
    _write(kafka, LIVE, range(100, 101))
    found = []
    for _ in range(40):
        began = time.seconds
        worker.step()
        found += [(batch[0].record.topic, len(batch), round(began - 1_000, 4)) for batch in stage.batches]
        stage.batches.clear()
        time.seconds += 0.001
    live, *bites = found
    assert live == (LIVE, 1, 0.0)
    # The first before it is known what a record costs; then those of 4 ms, which rest for three times as long.
    assert [(topic, size) for topic, size, _ in bites] == [(BATCH, 3), (BATCH, 2), (BATCH, 2)]
    begun = [at for _, _, at in bites]
    assert begun[1] - begun[0] == pytest.approx(0.006 * 4, abs=0.0011)
    assert begun[2] - begun[1] == pytest.approx(0.004 * 4, abs=0.0011)


@pytest.mark.parametrize(("more", "committed"), [(False, 5), (True, 0)])
def test_a_transaction_lasts_longer_while_records_keep_coming(
    kafka: MemoryKafka, start: Start, time: _Time, more: bool, committed: int
) -> None:
    worker = start(LANES[1:], StageOptions(transaction_interval_s=0.5, busy_transaction_interval_s=2.0))
    for number in range(10):
        if more or number < 5:
            _write(kafka, BATCH, range(number, number + 1))
        time.seconds += 0.15
        worker.step()
    assert _sum(kafka.committed("batch")) == committed
    _steps(worker, time, 3, each_s=1.0)
    assert _sum(kafka.committed("batch")) == (10 if more else 5)


def test_inputs_of_one_lane_go_in_turns(kafka: MemoryKafka, start: Start, stage: AskedStage) -> None:
    kafka.create_topic("second", 1)
    kafka.create_topic("second-dlt", 1)
    worker = start((*LANES, LaneInput(Lane.INTERACTIVE, ring("en"), "second", "second")), StageOptions(max_take=10))
    _write(kafka, LIVE, range(30))
    _write(kafka, "second", range(100, 120))
    _write(kafka, BATCH, range(200, 203))
    for _ in range(6):
        worker.step()
    topics = [batch[0].record.topic for batch in stage.batches]
    assert topics == [LIVE, "second", LIVE, "second", LIVE, BATCH]


def test_a_batch_lane_that_never_gets_a_turn_takes_one_record_now_and_then(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: _Time
) -> None:
    worker = start(LANES, StageOptions(max_take=1, starvation_s=1.0))
    _write(kafka, BATCH, range(10))
    _write(kafka, LIVE, range(100, 200))
    _steps(worker, time, 18, each_s=0.25)
    assert sum(job.record.topic == BATCH for job in stage.jobs) == 4


def test_no_more_is_taken_than_may_be_in_flight(kafka: MemoryKafka, time: _Time) -> None:
    stage = AskedStage()
    options = StageOptions(max_in_flight=20, halting=HaltPolicy(window=10, minimum=10), starvation_s=60)
    worker = StageWorker(kafka, stage, LANES[:1], options, clock=time.clock)
    worker.open()
    worker.step()
    for number in range(30):
        kafka.write(request(LIVE, number, FAIL))
    with kafka.denying(f"{LIVE}-dlt"):
        _steps(worker, time, 20, each_s=0.01)
        assert len(stage.jobs) == 20
    _steps(worker, time, 20)
    assert len(stage.jobs) == 30


@BOTH
def test_nothing_is_consumed_before_the_stage_is_prepared(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: _Time, lane: LaneInput
) -> None:
    stage.prepared = False
    _write(kafka, lane.topic, range(4))
    worker = start([lane])
    _steps(worker, time)
    assert (stage.assigned_partitions, stage.partition_count, stage.jobs) == ({0, 1}, 2, [])
    stage.prepared = True
    _steps(worker, time)
    assert _ids(kafka.read(REPLIES)) == [0, 1, 2, 3]


@BOTH
def test_a_worker_that_was_expelled_commits_nothing_and_takes_all_of_it_again(
    kafka: MemoryKafka, stage: AskedStage, start: Start, time: _Time, lane: LaneInput
) -> None:
    worker = start([lane])
    _write(kafka, lane.topic, range(5))
    stage.on_process = lambda _jobs: kafka.expel(lane.group)
    worker.step()
    stage.on_process = None
    _steps(worker, time, 10)
    replies = _ids(kafka.read(REPLIES))
    assert set(replies) == set(range(5))
    if lane.lane is Lane.BATCH:
        assert len(replies) == 5
    assert _sum(kafka.committed(lane.group)) == 5


def test_a_transaction_that_timed_out_is_done_again_and_seen_once(
    kafka: MemoryKafka, start: Start, time: _Time
) -> None:
    worker = start(LANES[1:])
    _write(kafka, BATCH, range(8))
    worker.step()
    kafka.time_out_transactions()
    _steps(worker, time, 10)
    assert _ids(kafka.read(REPLIES)) == list(range(8))
    assert len(kafka.read_uncommitted(REPLIES)) == 16
    assert _sum(kafka.committed("batch")) == 8


def test_a_killed_workers_transaction_is_cleared_away_by_its_successor(
    kafka: MemoryKafka, start: Start, time: _Time
) -> None:
    options = StageOptions(instance="pod-0")
    _write(kafka, BATCH, range(8))
    killed = start(LANES[1:], options)
    killed.step()
    assert kafka.read_uncommitted(REPLIES)
    kafka.expel("batch")
    _steps(start(LANES[1:], options), time, 10)
    assert _ids(kafka.read(REPLIES)) == list(range(8))


@BOTH
def test_two_workers_share_the_partitions_and_hand_over_without_loss_or_repetition(
    kafka: MemoryKafka, start: Start, time: _Time, lane: LaneInput
) -> None:
    # The first commits only when it must.
    first = start([lane], StageOptions(max_take=2, batch_take=2, commit_interval_s=1e6, transaction_interval_s=1e6))
    _write(kafka, lane.topic, range(20))
    _steps(first, time, 8)
    assert kafka.committed(lane.group) == {}
    second = start([lane])
    for _ in range(10):
        _steps(first, time, 1)
        _steps(second, time, 1)
    first.close()
    _write(kafka, lane.topic, range(20, 30))
    _steps(second, time, 10)
    assert _ids(kafka.read(REPLIES)) == list(range(30))
    assert _sum(kafka.committed(lane.group)) == 30


@BOTH
def test_closing_finishes_and_commits_what_was_taken(
    kafka: MemoryKafka, start: Start, stage: AskedStage, lane: LaneInput
) -> None:
    worker = start([lane])
    _write(kafka, lane.topic, range(5))
    worker.step()
    worker.close()
    assert _sum(kafka.committed(lane.group)) == 5
    assert _ids(kafka.read(REPLIES)) == list(range(5))
    assert stage.assigned_partitions == set()


def test_an_expired_request_is_answered_without_being_computed(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: _Time
) -> None:
    kafka.write(request(LIVE, 1, deadline_ms=int(time.seconds * 1000)))
    _steps(start(LANES[:1]), time)
    assert stage.jobs == []
    assert _ids(kafka.read(REPLIES)) == [1]
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
    _write(kafka, LIVE, range(3))
    worker.run()
    assert _ids(kafka.read(REPLIES)) == [0, 1, 2]
    assert _sum(kafka.committed("live")) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_worker(kafka: MemoryKafka, stage: AskedStage, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    worker = StageWorker(kafka, stage, LANES)
    stage.on_process = lambda _jobs: signal.raise_signal(number)
    _write(kafka, LIVE, range(3))
    run_until_signalled(worker)
    assert _sum(kafka.committed("live")) == 3
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
    _write(kafka, LIVE, range(3))
    with pytest.raises(InternalError, match="the registry is gone"):
        worker.run()
    assert _ids(kafka.read(REPLIES)) == [0, 1, 2]
