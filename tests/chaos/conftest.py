"""A broker and workers that a test may kill."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.names import Lane
from tests.support.kafka import Kafka, NewKafka
from tests.support.load import Replies, WorkerProcess, send
from tests.support.stages import request


@dataclass
class Arena:
    """Topics of a test's own on some broker, and the workers on them."""

    settings: KafkaSettings
    name: str
    folder: Path

    def __post_init__(self) -> None:
        self.topics = {lane: f"{self.name}-{lane.value}" for lane in Lane}
        self.reply_topics = {lane: f"{self.name}-{lane.value}-replies" for lane in Lane}
        names = [*self.topics.values(), *self.reply_topics.values()]
        specs = [TopicSpec(name, 4) for name in names] + [TopicSpec(f"{name}-dlt", 1) for name in names]
        with TopicAdmin(self.settings) as admin:
            admin.ensure(specs)
        self.replies = {lane: Replies(self.settings, topic) for lane, topic in self.reply_topics.items()}
        self.workers: list[WorkerProcess] = []

    def group(self, lane: Lane) -> str:
        """The consumer group of the lane's workers."""
        return f"group-{self.topics[lane]}"

    def launch(self, *lanes: Lane, **options: object) -> WorkerProcess:
        """A worker on these lanes, consuming."""
        inputs = [(lane, self.topics[lane], self.group(lane)) for lane in lanes]
        worker = WorkerProcess(self.settings, inputs, self.folder / f"worker-{len(self.workers)}.log", **options)
        self.workers.append(worker)
        worker.wait_until_ready()
        return worker

    def send(self, lane: Lane, numbers: range) -> None:
        """Requests with these ids."""
        send(self.settings, [request(self.topics[lane], n, reply_to=self.reply_topics[lane]) for n in numbers])

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        for replies in self.replies.values():
            replies.close()


@pytest.fixture
def arena(kafka: Kafka, tmp_path: Path) -> Iterator[Arena]:
    """On the broker that all tests share: kill workers, not it."""
    arena = Arena(kafka.settings(), f"chaos-{uuid.uuid4().hex[:8]}", tmp_path)
    yield arena
    arena.close()


@pytest.fixture
def mortal_kafka(new_kafka: NewKafka) -> Iterator[Kafka]:
    """A broker of the test's own, to be killed."""
    with new_kafka() as broker:
        yield broker


@pytest.fixture
def mortal_arena(mortal_kafka: Kafka, tmp_path: Path) -> Iterator[Arena]:
    """On a broker that the test may kill."""
    arena = Arena(mortal_kafka.settings(), "chaos", tmp_path)
    yield arena
    arena.close()
