"""The batch lane's transactions: when they end, and what happens meanwhile."""

from contextlib import ExitStack
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.kafka.records import Record
from manyheads.infra.stage.options import Clock, StageOptions
from manyheads.infra.stage.worker import StageWorker
from manyheads.topics.headers import DeadLetterReason
from tests.support.stages import ANSWER, FAIL, AskedStage, request
from tests.unit.infra.stage_worker.loop import (
    BATCH,
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

BATCH_LANE = LANES[1:]
FOUR = StageOptions(batch_take=4, quiet_batch_take=4, transaction_records=4)


def caught_at_its_end(kafka: MemoryKafka, start: Start, time: StoppedClock) -> StageWorker:
    """A worker with four records in a transaction that Kafka has not ended yet, and four computed for the next."""
    worker = start(BATCH_LANE, FOUR)
    write(kafka, BATCH, range(8))
    with kafka.undecided():
        steps(worker, time, 4)
    return worker


@pytest.mark.parametrize(("more", "committed"), [(False, 5), (True, 0)])
def test_a_transaction_ends_soon_when_no_more_records_come(
    kafka: MemoryKafka, start: Start, time: StoppedClock, more: bool, committed: int
) -> None:
    worker = start(BATCH_LANE, StageOptions(transaction_interval_s=2.0, idle_transaction_interval_s=0.5))
    for number in range(10):
        if more or number < 5:
            write(kafka, BATCH, range(number, number + 1))
        time.seconds += 0.15
        worker.step()
    assert total(kafka.committed("batch")) == committed
    steps(worker, time, 3, each_s=1.0)
    assert total(kafka.committed("batch")) == (10 if more else 5)


def test_beside_interactive_traffic_a_transaction_lasts_longer(
    kafka: MemoryKafka, start: Start, time: StoppedClock
) -> None:
    options = StageOptions(transaction_interval_s=0.5, live_transaction_interval_s=2.0, batch_share=1.0)
    worker = start(LANES, options)
    write(kafka, LIVE, range(100, 101))
    worker.step()
    write(kafka, BATCH, range(120))
    steps(worker, time, 9, each_s=0.2)
    assert total(kafka.committed("batch")) == 0
    steps(worker, time, 3, each_s=0.2)
    assert total(kafka.committed("batch")) > 0


def test_while_a_transaction_ends_the_next_records_are_computed_and_published_once_it_has(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: StoppedClock
) -> None:
    worker = caught_at_its_end(kafka, start, time)
    assert len(stage.jobs) == 8
    assert len(kafka.read_uncommitted(REPLIES)) == 4
    worker.step()
    assert len(kafka.read(REPLIES)) == total(kafka.committed("batch")) == 4
    steps(worker, time, 3)
    assert ids(kafka.read(REPLIES)) == ids(kafka.read_uncommitted(REPLIES)) == list(range(8))
    assert total(kafka.committed("batch")) == 8


def test_no_more_is_computed_meanwhile_than_the_next_transaction_has(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: StoppedClock
) -> None:
    worker = start(BATCH_LANE, FOUR)
    write(kafka, BATCH, range(40))
    with kafka.undecided():
        steps(worker, time, 20)
        assert len(stage.jobs) == 8
    steps(worker, time, 20)
    assert ids(kafka.read(REPLIES)) == list(range(40))


def test_a_transaction_that_fails_at_its_end_takes_what_came_after_it_with_it(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: StoppedClock
) -> None:
    worker = caught_at_its_end(kafka, start, time)
    kafka.time_out_transactions()
    steps(worker, time, 8)
    assert ids(kafka.read(REPLIES)) == list(range(8))
    assert len(stage.jobs) == 16
    assert total(kafka.committed("batch")) == 8


def test_what_was_computed_meanwhile_is_committed_before_a_partition_goes(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: StoppedClock
) -> None:
    first = caught_at_its_end(kafka, start, time)
    second = start(BATCH_LANE, replace(FOUR, instance="second"))
    steps(first, time, 1)
    assert ids(kafka.read(REPLIES)) == list(range(8))
    for each in (second, first):
        steps(each, time, 2)
        each.close()
    assert len(stage.jobs) == total(kafka.committed("batch")) == 8


def test_what_was_computed_meanwhile_is_committed_at_a_stop(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: StoppedClock
) -> None:
    worker = caught_at_its_end(kafka, start, time)
    worker.close()
    assert len(stage.jobs) == total(kafka.committed("batch")) == 8
    assert ids(kafka.read(REPLIES)) == list(range(8))


def test_a_topic_that_is_made_anew_meanwhile_does_not_hold_up_the_end(
    kafka: MemoryKafka, start: Start, time: StoppedClock
) -> None:
    worker = start(BATCH_LANE, replace(FOUR, transaction_records=6))
    write(kafka, BATCH, range(6))
    with kafka.undecided():
        steps(worker, time, 3)
        write(kafka, BATCH, range(6, 8))
        steps(worker, time, 1)
        kafka.delete_topic(BATCH)
        kafka.create_topic(BATCH, 2)
        write(kafka, BATCH, range(8, 10))
        steps(worker, time, 1)
    steps(worker, time, 3)
    assert ids(kafka.read(REPLIES)) == list(range(10))


class _PassingTime(StoppedClock):
    """Time passes with every look at the clock, so that no wait lasts for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock(self.clock.wall_ms, self._look)

    def _look(self) -> float:
        self.seconds += 0.001
        return self.seconds


class _Life:
    """A batch lane's workers, and whatever may happen to them."""

    def __init__(self) -> None:
        self.kafka = MemoryKafka({BATCH: 3, f"{BATCH}-dlt": 1, REPLIES: 2})
        self.time = _PassingTime()
        self.written = 0
        self._workers: list[StageWorker] = []
        self._undecided = ExitStack()
        self.start()

    def start(self) -> None:
        if len(self._workers) < 3:
            # The first keeps its id, as a pod does.
            options = StageOptions(f"pod-{len(self._workers)}", quiet_batch_take=3, transaction_records=5)
            worker = StageWorker(self.kafka, AskedStage(), BATCH_LANE, options, clock=self.time.clock)
            worker.open()
            self._workers.append(worker)

    def stop(self) -> None:
        self.decide()
        if len(self._workers) > 1:
            self._workers.pop().close()

    def kill(self) -> None:
        self._workers.pop()
        self.kafka.expel("batch")
        if not self._workers:
            self.start()

    def write(self) -> None:
        for number in range(self.written, self.written + 4):
            self.kafka.write(request(BATCH, number, FAIL if number % 5 == 0 else ANSWER, partition=number % 3))
        self.written += 4

    def step(self) -> None:
        self._each_steps(0.01)

    def wait(self) -> None:
        self._each_steps(0.6)

    def _each_steps(self, seconds: float) -> None:
        for worker in self._workers:
            self.time.seconds += seconds
            worker.step()

    def stall(self) -> None:
        self._undecided.close()
        self._undecided.enter_context(self.kafka.undecided())

    def decide(self) -> None:
        self._undecided.close()

    def time_out(self) -> None:
        self.kafka.time_out_transactions()

    def expel(self) -> None:
        self.kafka.expel("batch")

    def go_away(self) -> None:
        with self.kafka.away():
            self.step()

    def finish(self) -> None:
        self.decide()
        self.time_out()  # those of the killed hide what follows them for ever
        for _ in range(4 * self.written + 20):
            self.wait()


_EVENTS = ["write", "step", "step", "wait", "stall", "decide", "start", "stop", "kill", "time_out", "expel", "go_away"]


@given(st.lists(st.sampled_from(_EVENTS), max_size=40))
def test_whatever_happens_each_record_has_its_results_once(events: list[str]) -> None:
    life = _Life()
    for event in ["step", *events]:
        getattr(life, event)()
    life.finish()

    def code(record: Record) -> str:
        return DeadLetterReason.from_headers(record.headers).code

    assert ids(life.kafka.read(REPLIES)) == list(range(life.written))
    letters = life.kafka.read(f"{BATCH}-dlt")
    assert ids(letters) == list(range(0, life.written, 5))
    assert {code(letter) for letter in letters} <= {"text_empty"}
    assert total(life.kafka.committed("batch")) == life.written
