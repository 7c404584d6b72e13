"""Who goes first, how much is taken at a time, and how long a transaction lasts."""

from collections.abc import Sequence

import pytest

from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.kafka.memory.clients import MemoryConsumer, MemoryPublisher
from manyheads.infra.kafka.records import Record
from manyheads.infra.kafka.transport import Delivery
from manyheads.infra.stage.options import LaneInput, StageOptions
from manyheads.infra.stage.work import Job
from manyheads.topics.names import Lane, ring
from tests.support.stages import AskedStage
from tests.unit.infra.stage_worker.loop import BATCH, LANES, LIVE, Start, StoppedClock, steps, write


def test_interactive_records_go_first_and_batch_records_in_small_bites(
    kafka: MemoryKafka, start: Start, stage: AskedStage
) -> None:
    worker = start(LANES, StageOptions(max_take=10, batch_take=3))
    write(kafka, BATCH, range(6))
    write(kafka, LIVE, range(100, 120))
    for _ in range(4):
        worker.step()
    assert [len(batch) for batch in stage.batches] == [10, 10, 3, 3]
    assert all(job.record.topic == LIVE for job in stage.jobs[:20])
    assert all(job.record.topic == BATCH for job in stage.jobs[20:])


def test_an_idle_worker_waits_for_acknowledgements_first_and_then_not_long_for_records(
    kafka: MemoryKafka, start: Start, stage: AskedStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    heard: list[float] = []

    def take(consumer: MemoryConsumer, limit: int, timeout_s: float) -> list[Record]:
        waits.append(timeout_s)
        return real_take(consumer, limit, timeout_s)

    def deliveries(publisher: MemoryPublisher, timeout_s: float) -> list[Delivery]:
        heard.append(timeout_s)
        return real_deliveries(publisher, timeout_s)

    real_take, real_deliveries = MemoryConsumer.take, MemoryPublisher.deliveries
    monkeypatch.setattr(MemoryConsumer, "take", take)
    monkeypatch.setattr(MemoryPublisher, "deliveries", deliveries)
    worker = start(LANES[:1], StageOptions(idle_wait_s=0.5))
    write(kafka, LIVE, range(1))
    away = kafka.away()
    stage.on_process = lambda _: away.__enter__()  # before it has acknowledged anything
    for _ in range(4):
        worker.step()
    assert (heard[-1], waits[-1]) == (0.002, 0.01)
    away.__exit__(None, None, None)
    for _ in range(2):
        worker.step()
    assert (heard[-1], waits[-1]) == (0, 0.5)


def test_without_interactive_traffic_batch_records_go_in_larger_bites(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: StoppedClock
) -> None:
    worker = start(LANES, StageOptions(batch_take=2, quiet_batch_take=5, quiet_after_s=3.0, starvation_s=60))
    write(kafka, BATCH, range(40))
    sizes = []
    for live in (False, False, True, False, False, False):
        if live:
            write(kafka, LIVE, range(100, 101))
        time.seconds += 1.5
        worker.step()
        sizes.append([len(batch) for batch in stage.batches])
        stage.batches.clear()
    assert sizes == [[2], [5], [1], [2], [5], [5]]


def test_beside_interactive_traffic_a_bite_is_as_large_as_its_time_allows_and_a_rest_follows(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: StoppedClock
) -> None:
    def compute(jobs: Sequence[Job]) -> None:
        time.seconds += 0.002 * len(jobs)

    stage.on_process = compute
    worker = start(LANES, StageOptions(batch_take=3, batch_compute_s=0.0045, batch_share=0.25, starvation_s=60))
    write(kafka, BATCH, range(40))
    write(kafka, LIVE, range(100, 101))
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


def test_inputs_of_one_lane_go_in_turns(kafka: MemoryKafka, start: Start, stage: AskedStage) -> None:
    kafka.create_topic("second", 1)
    kafka.create_topic("second-dlt", 1)
    worker = start((*LANES, LaneInput(Lane.INTERACTIVE, ring("en"), "second", "second")), StageOptions(max_take=10))
    write(kafka, LIVE, range(30))
    write(kafka, "second", range(100, 120))
    write(kafka, BATCH, range(200, 203))
    for _ in range(6):
        worker.step()
    topics = [batch[0].record.topic for batch in stage.batches]
    assert topics == [LIVE, "second", LIVE, "second", LIVE, BATCH]


def test_a_batch_lane_that_never_gets_a_turn_takes_one_record_now_and_then(
    kafka: MemoryKafka, start: Start, stage: AskedStage, time: StoppedClock
) -> None:
    worker = start(LANES, StageOptions(max_take=1, starvation_s=1.0))
    write(kafka, BATCH, range(10))
    write(kafka, LIVE, range(100, 200))
    steps(worker, time, 18, each_s=0.25)
    assert sum(job.record.topic == BATCH for job in stage.jobs) == 4
