"""A worker over Kafka in memory, and a clock that stands still."""

from collections.abc import Callable, Sequence

import pytest

from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.stage.options import LaneInput, StageOptions
from manyheads.infra.stage.worker import StageWorker
from tests.support.stages import AskedStage
from tests.unit.infra.stage_worker.loop import BATCH, LIVE, REPLIES, StoppedClock


@pytest.fixture
def time() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def kafka() -> MemoryKafka:
    topics = {LIVE: 2, BATCH: 2, f"{LIVE}-dlt": 1, f"{BATCH}-dlt": 1, REPLIES: 2, "elsewhere": 1}
    return MemoryKafka(topics, max_message_bytes=10_000)


@pytest.fixture
def stage() -> AskedStage:
    return AskedStage()


@pytest.fixture
def start(
    kafka: MemoryKafka, stage: AskedStage, time: StoppedClock
) -> Callable[[Sequence[LaneInput], StageOptions | None], StageWorker]:
    def start(lanes: Sequence[LaneInput], options: StageOptions | None = None) -> StageWorker:
        worker = StageWorker(kafka, stage, lanes, options, clock=time.clock)
        worker.open()
        worker.step()  # joins
        return worker

    return start
