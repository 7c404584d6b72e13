"""What a stage worker tells health: over Kafka in memory, one step at a time."""

import pytest

from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.stage.observer import StageObserver
from manyheads.infra.stage.options import Clock, LaneInput
from manyheads.infra.stage.worker import StageWorker
from manyheads.infra.telemetry import Health
from manyheads.topics.errors import InternalError
from manyheads.topics.names import Lane, ring
from tests.support.stages import RAISE, AskedStage, request

LIVE = "nlu.en.requests"
LANE = LaneInput(Lane.INTERACTIVE, ring("en"), LIVE, "live")


class World:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.kafka = MemoryKafka({LIVE: 2, f"{LIVE}-dlt": 1, "nlu.replies": 1})
        self.health = Health(stuck_after_s=60.0, clock=lambda: self.now)
        self.stage = AskedStage()

    def worker(self) -> StageWorker:
        clock = Clock(lambda: int(self.now * 1000), lambda: self.now)
        worker = StageWorker(self.kafka, self.stage, [LANE], observer=StageObserver(health=self.health), clock=clock)
        worker.open()
        return worker

    def step(self, worker: StageWorker, seconds: float = 0.3) -> None:
        self.now += seconds
        worker.step()

    @property
    def detail(self) -> str:
        parts = self.health.as_json()["parts"]
        assert isinstance(parts, dict)
        return str(parts["worker"]["detail"])


@pytest.fixture
def world() -> World:
    return World()


def test_ready_follows_the_partitions_and_the_drain(world: World) -> None:
    worker = world.worker()
    assert not world.health.ready
    world.stage.prepared = False
    world.step(worker)
    world.step(worker)
    assert world.detail == f"partitions 0, 1 of {LIVE} are being prepared"
    world.stage.prepared = True
    world.step(worker)
    assert world.health.ready
    worker.close()
    assert not world.health.ready
    assert world.detail == "it has stopped"


def test_partitions_that_come_later_make_it_wait_again(world: World) -> None:
    first, second = world.worker(), StageWorker(world.kafka, AskedStage(), [LANE])
    second.open()
    for _ in range(3):
        world.step(first)
        second.step()
    assert world.health.ready
    world.stage.prepared = False
    second.close()
    world.step(first)
    assert not world.health.ready
    assert "being prepared" in world.detail
    world.stage.prepared = True
    world.step(first)
    assert world.health.ready


def test_a_spare_is_ready_after_a_while(world: World) -> None:
    others = [StageWorker(world.kafka, AskedStage(), [LANE]) for _ in range(2)]
    for other in others:
        other.open()
        other.step()
    spare = world.worker()
    world.step(spare)
    assert world.detail == f"partitions of {LIVE} are not assigned yet"
    world.step(spare, 11.0)
    assert world.health.ready


def test_a_compute_that_never_returns_is_noticed(world: World) -> None:
    worker = world.worker()
    world.step(worker)
    world.step(worker)
    seen: list[bool] = []

    def stuck(_jobs: object) -> None:
        world.now += 61
        seen.append(world.health.live())

    world.stage.on_process = stuck
    world.kafka.write(request(LIVE, 1))
    world.step(worker)
    assert seen == [False]
    assert world.health.live()


def test_a_worker_that_fails_says_so(world: World) -> None:
    for number in range(100):
        world.kafka.write(request(LIVE, number, RAISE))
    worker = StageWorker(world.kafka, world.stage, [LANE], observer=StageObserver(health=world.health))
    with pytest.raises(InternalError):
        worker.run()
    assert not world.health.ready
    assert world.detail.startswith("it has failed: 50 of the last 50 records failed")
