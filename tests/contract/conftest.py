"""One suite, two Kafkas: the one in memory and a real broker."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.kafka.confluent import ConfluentTransport
from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.kafka.records import Outgoing, Record, TopicPartition
from manyheads.infra.kafka.transport import Publisher, Transport
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.catalogue import TopicSpec


class Cluster(Protocol):
    """A Kafka with topics of the test's own."""

    transport: Transport

    def create(self, partitions: int, suffix: str = "") -> str:
        """A new topic."""

    def write(self, *records: Outgoing) -> None:
        """Append records as a client would."""

    def read(self, topic: str) -> list[Record]:
        """All that a read-committed client sees of the topic now, partition by partition."""

    def committed(self, group: str, topic: str) -> dict[TopicPartition, int]:
        """The offsets that the group has committed."""


def publish_all(publisher: Publisher, records: Sequence[Outgoing]) -> None:
    """Publish the records and wait for the broker to acknowledge each."""
    for record in records:
        assert publisher.publish(record, record) is None
    waiting = list(records)
    for _ in range(30):
        for delivery in publisher.deliveries(1.0):
            assert delivery.failure is None
            waiting = [record for record in waiting if record is not delivery.token]
        if not waiting:
            return
    raise AssertionError("the broker does not acknowledge")


class MemoryCluster:
    def __init__(self) -> None:
        self.kafka = MemoryKafka({})
        self.transport: Transport = self.kafka
        self._count = 0

    def create(self, partitions: int, suffix: str = "") -> str:
        self._count += 1
        topic = f"topic-{self._count}{suffix}"
        self.kafka.create_topic(topic, partitions)
        self.kafka.create_topic(f"{topic}-dlt", 1)
        return topic

    def write(self, *records: Outgoing) -> None:
        for record in records:
            self.kafka.write(record)

    def read(self, topic: str) -> list[Record]:
        return self.kafka.read(topic)

    def committed(self, group: str, topic: str) -> dict[TopicPartition, int]:
        return self.kafka.committed(group)


class RealCluster:
    def __init__(self, settings: KafkaSettings, admin: TopicAdmin) -> None:
        self.transport: Transport = ConfluentTransport(settings)
        self._settings = settings
        self._admin = admin
        self.created: list[str] = []

    def create(self, partitions: int, suffix: str = "") -> str:
        topic = f"contract-{uuid.uuid4().hex[:12]}{suffix}"
        names = [topic, f"{topic}-dlt"]
        self._admin.ensure([TopicSpec(names[0], partitions), TopicSpec(names[1], 1)])
        self.created += names
        return topic

    def write(self, *records: Outgoing) -> None:
        publisher = self.transport.publisher()
        publish_all(publisher, records)
        publisher.close(1)

    def read(self, topic: str) -> list[Record]:
        records: list[Record] = []
        with self._reader("reader", {"enable.partition.eof": True}) as reader:
            numbers = list(reader.list_topics(topic, 10).topics[topic].partitions)
            reader.assign([Position(topic, number, 0) for number in numbers])
            ended: set[int] = set()
            while len(ended) < len(numbers):
                message = reader.poll(10)
                assert message is not None, "the broker does not answer"
                error = message.error()
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF
                    ended.add(message.partition() or 0)
                else:
                    records.append(
                        Record(
                            topic,
                            message.partition() or 0,
                            message.offset() or 0,
                            message.timestamp()[1],
                            message.key(),
                            message.value(),
                            tuple(message.headers() or ()),  # type: ignore[arg-type]
                        )
                    )
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def committed(self, group: str, topic: str) -> dict[TopicPartition, int]:
        # Else the answer waits for the end of a transaction, which waits for the test's next step.
        with self._reader(group, {"isolation.level": "read_uncommitted"}) as reader:
            numbers = reader.list_topics(topic, 10).topics[topic].partitions
            positions = _committed(reader, [Position(topic, number) for number in numbers])
        return {TopicPartition(each.topic, each.partition): each.offset for each in positions if each.offset >= 0}

    def _reader(self, group: str, more: dict[str, object]) -> Consumer:
        own = {"group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed"}
        return Consumer({**self._settings.confluent(), **own, **more})


def _committed(reader: Consumer, positions: list[Position]) -> list[Position]:
    for _ in range(50):
        try:
            return reader.committed(positions, 10)
        except KafkaException as raised:
            # The first group of a fresh broker waits for the offsets topic.
            if raised.args[0].code() not in (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS):
                raise
            reader.poll(0.1)
    raise AssertionError("the broker has no group coordinator")


@pytest.fixture(params=["memory", "broker"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if request.param == "memory":
        yield MemoryCluster()
        return
    admin: TopicAdmin = request.getfixturevalue("topic_admin")
    real = RealCluster(request.getfixturevalue("kafka_settings"), admin)
    yield real
    admin.delete(real.created)


@pytest.fixture
def group() -> str:
    """A group that no other test has."""
    return f"group-{uuid.uuid4().hex[:12]}"


Step = Callable[[], object]


@pytest.fixture
def until() -> Callable[[Callable[[], bool], Step], None]:
    """Call a step, which itself waits for Kafka, until a condition holds."""

    def until(condition: Callable[[], bool], step: Step) -> None:
        patience = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < patience, "it does not come to be"
            step()

    return until
