"""What a worker's lanes tell metrics and reports: over Kafka in memory, compared with what was sent."""

from dataclasses import replace

import pytest

from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.stage.observer import StageObserver
from manyheads.infra.stage.options import Clock, LaneInput
from manyheads.infra.stage.worker import StageWorker
from manyheads.infra.telemetry import Metrics
from manyheads.topics.headers import Envelope
from manyheads.topics.names import Lane, ring, tenant
from manyheads.topics.telemetry import LaneReport, WorkerState
from tests.support.stages import ANSWER, FAIL, FORWARD, MALFORMED, AskedStage, request

LIVE, BATCH = "nlu.en.requests", "nlu.en.requests.batch"
INPUTS = (LaneInput(Lane.INTERACTIVE, ring("en"), LIVE, "live"), LaneInput(Lane.BATCH, ring("en"), BATCH, "batch"))


class World:
    def __init__(self) -> None:
        topics = {LIVE: 2, f"{LIVE}-dlt": 1, BATCH: 2, f"{BATCH}-dlt": 1, "nlu.replies": 1, "elsewhere": 1}
        self.now = 1_000.0
        self.kafka = MemoryKafka(topics)
        self.observer = StageObserver(Metrics())
        clock = Clock(lambda: int(self.now * 1000), lambda: self.now)
        self.worker = StageWorker(self.kafka, AskedStage("elsewhere"), INPUTS, observer=self.observer, clock=clock)
        self.worker.open()

    def run(self, steps: int = 12, each_s: float = 0.3) -> None:
        for _ in range(steps):
            self.now += each_s
            self.worker.step()

    def send(self, topic: str, number: int, value: bytes = ANSWER, who: str = "acme-bank") -> None:
        asked = request(topic, number, value)
        envelope = replace(Envelope.from_headers(asked.headers), tenant=tenant(who))
        self.kafka.write(Outgoing(asked.topic, value, asked.key, envelope.to_headers(), asked.partition))

    def lanes(self) -> dict[Lane, LaneReport]:
        return {lane.lane: lane for lane in self.observer.report()}

    def sample(self, name: str, lane: str, **labels: str) -> float | None:
        wanted = {"stage": "encoder", "ring": "en", "lane": lane, **labels}
        return self.observer.metrics.registry.get_sample_value(name, wanted)


def test_reports_and_metrics_have_what_was_sent() -> None:
    world = World()
    for number in range(5):
        world.send(LIVE, number)
    world.send(LIVE, 5, FAIL)
    world.send(LIVE, 6, FORWARD, "clinic")
    for number in range(7, 10):
        world.send(BATCH, number, who="archive")
    world.run()
    lanes = world.lanes()
    live, batch = lanes[Lane.INTERACTIVE], lanes[Lane.BATCH]
    assert live.outcomes == {"ok": 6, "text_empty": 1}
    assert live.dead_letters == {"text_empty": 1}
    assert (live.partitions, live.preparing, live.in_flight) == ((0, 1), (), 0)
    assert (live.queue.count, live.total.count, live.publish.count) == (7, 7, 8)
    assert live.batches == live.compute.count > 0
    # What goes on to the next stage is counted there.
    assert {name: (counts.requests, counts.errors) for name, counts in live.tenants.items()} == {"acme-bank": (6, 1)}
    assert batch.outcomes == {"ok": 3}
    assert {name: counts.requests for name, counts in batch.tenants.items()} == {"archive": 3}
    assert world.sample("manyheads_records_total", "interactive", outcome="ok") == 6
    assert world.sample("manyheads_records_total", "interactive", outcome="text_empty") == 1
    assert world.sample("manyheads_dead_letters_total", "interactive", code="text_empty") == 1
    for name in ("queue", "request"):
        assert world.sample(f"manyheads_{name}_seconds_count", "interactive") == 7
        assert world.sample(f"manyheads_{name}_seconds_count", "batch") == 3
    assert world.sample("manyheads_publish_seconds_count", "interactive") == 8
    assert world.sample("manyheads_compute_seconds_count", "interactive") == live.batches
    assert world.sample("manyheads_batch_records_sum", "interactive") == 7
    assert world.sample("manyheads_in_flight_records", "interactive") == 0
    assert world.lanes()[Lane.INTERACTIVE].outcomes == {}


def test_the_total_is_counted_from_the_requests_own_time() -> None:
    world = World()
    world.run(3)
    world.send(LIVE, 1)
    written_ms = world.kafka.read(LIVE)[0].timestamp_ms
    world.worker.step()
    world.worker.step()
    done_ms = world.now * 1000
    world.now += 600.0
    world.run(3)
    total = world.lanes()[Lane.INTERACTIVE].total.quantile(0.5)
    # Until it was finished, not until it was committed and counted.
    assert total == pytest.approx(done_ms - written_ms, rel=0.011)


def test_series_stay_flat_with_ten_thousand_tenants() -> None:
    world = World()
    world.send(LIVE, 0)
    world.send(LIVE, 1, FAIL)
    world.run()

    def series() -> int:
        return sum(len(metric.samples) for metric in world.observer.metrics.registry.collect())

    before = series()
    for number in range(10_000):
        world.send(LIVE, number, FAIL if number % 20 == 0 else ANSWER, f"tenant-{number}")
    world.run(300)
    assert series() == before
    report = world.lanes()[Lane.INTERACTIVE]
    assert report.outcomes["ok"] + report.outcomes["text_empty"] == 10_002
    assert len(report.tenants) == 5_000
    assert sum(counts.total is not None for counts in report.tenants.values()) == 1_000


def test_a_lane_that_halts_alone_is_seen_from_everywhere() -> None:
    world = World()
    for number in range(60):
        world.send(BATCH, number, MALFORMED)
    world.run(40, each_s=0.01)
    world.send(LIVE, 100)
    world.run()
    lanes = world.lanes()
    assert lanes[Lane.INTERACTIVE].halted is None
    reason = lanes[Lane.BATCH].halted or ""
    assert reason.startswith("50 of the last 50 records failed, the latest with malformed_message")
    assert lanes[Lane.BATCH].partitions == ()
    assert [world.sample("manyheads_lane_halted", lane) for lane in ("interactive", "batch")] == [0, 1]
    # What goes on is ready; whoever looks is told.
    health = world.observer.health
    assert health.ready
    parts = health.as_json()["parts"]
    assert isinstance(parts, dict)
    assert parts[BATCH] == {"ready": True, "detail": f"it is not read any more: {reason}"}


def test_inputs_of_a_lane_share_its_gauges() -> None:
    observer = StageObserver(Metrics())
    first, second = (observer.lane("head", LaneInput(Lane.BATCH, ring("en"), topic, topic)) for topic in ("one", "two"))
    labels = {"stage": "head", "ring": "en", "lane": "batch"}
    for holder, in_flight, expected in ((first, 3, 3), (second, 4, 7), (first, 0, 4), (second, 1, 1)):
        holder.holds([0], [], in_flight)
        assert observer.metrics.registry.get_sample_value("manyheads_in_flight_records", labels) == expected
    assert [lane.in_flight for lane in observer.report()] == [0, 1]


def test_the_state_follows_the_workers_life() -> None:
    world = World()
    assert world.observer.state is WorkerState.STARTING
    world.run(3)
    assert (world.observer.state, world.observer.waits_for) == (WorkerState.READY, "")
    world.worker.close()
    assert (world.observer.state, world.observer.waits_for) == (WorkerState.DRAINING, "worker: it has stopped")
