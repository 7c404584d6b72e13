"""What drives a worker over Kafka in memory: its lanes, a clock that a test sets, records written and read."""

from collections.abc import Callable, Sequence

import pytest

from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.kafka.records import Record, TopicPartition
from manyheads.infra.stage.options import Clock, LaneInput
from manyheads.infra.stage.worker import StageWorker
from manyheads.topics.headers import correlation_id_of
from manyheads.topics.names import Lane, ring
from tests.support.stages import ANSWER, request

LIVE = "nlu.en.requests"
BATCH = "nlu.en.requests.batch"
REPLIES = "nlu.replies"
LANES = (LaneInput(Lane.INTERACTIVE, ring("en"), LIVE, "live"), LaneInput(Lane.BATCH, ring("en"), BATCH, "batch"))
BOTH = pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.lane.value)


class StoppedClock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.clock = Clock(lambda: int(self.seconds * 1000), lambda: self.seconds)


Start = Callable[..., StageWorker]


def ids(records: Sequence[Record]) -> list[int]:
    return sorted(int(correlation_id_of(record.headers) or b"-1") for record in records)


def steps(worker: StageWorker, time: StoppedClock, count: int = 6, each_s: float = 0.3) -> None:
    for _ in range(count):
        time.seconds += each_s
        worker.step()


def write(kafka: MemoryKafka, topic: str, numbers: range, value: bytes = ANSWER) -> None:
    for number in numbers:
        kafka.write(request(topic, number, value))


def total(offsets: dict[TopicPartition, int]) -> int:
    return sum(offsets.values())
