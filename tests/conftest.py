"""What tests share that need a broker: one embedded Kafka for the whole run, and names and topics of a test's own."""

import os
import uuid
from collections.abc import Callable, Iterator

import pytest

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker import EmbeddedKafka
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.catalogue import Partitions, ring_topics, shared_topics
from manyheads.topics.errors import ArtifactError
from manyheads.topics.names import CellName, RingName, cell, ring

TEST_PARTITIONS = Partitions(requests=2, embeddings=4, replies=2)


@pytest.fixture(scope="session")
def kafka() -> Iterator[EmbeddedKafka]:
    """A real broker that the whole run shares: keep to a ring of your own, and never stop it.

    A machine that has neither the jars nor a network may skip; the continuous integration may not.
    """
    broker = EmbeddedKafka()
    try:
        broker.start()
    except ArtifactError as error:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            raise
        pytest.skip(f"no embedded broker on this machine: {error}")
    with broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_settings(kafka: EmbeddedKafka) -> KafkaSettings:
    """How to reach the broker of this run."""
    return kafka.settings()


@pytest.fixture(scope="session")
def topic_admin(kafka_settings: KafkaSettings) -> Iterator[TopicAdmin]:
    """The topics of this run's broker. The shared ones (replies, registry) exist already."""
    with TopicAdmin(kafka_settings) as admin:
        admin.ensure(shared_topics(TEST_PARTITIONS))
        yield admin


@pytest.fixture
def unique_ring() -> RingName:
    """The name of a ring that no other test has."""
    return ring(f"r-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def create_ring(topic_admin: TopicAdmin) -> Iterator[Callable[[RingName, tuple[str, ...]], RingName]]:
    """Call it with a ring and its cells to create the ring's topics; they are deleted after the test."""
    created: list[str] = []

    def create(name: RingName, cells: tuple[str, ...] = ("c0",)) -> RingName:
        specs = ring_topics(name, [cell(each) for each in cells], TEST_PARTITIONS)
        topic_admin.ensure(specs)
        created.extend(spec.name for spec in specs)
        return name

    yield create
    topic_admin.delete(created)


@pytest.fixture
def ring_with_topics(
    unique_ring: RingName, create_ring: Callable[[RingName, tuple[str, ...]], RingName]
) -> tuple[RingName, CellName]:
    """A ring of this test's own whose topics exist (2 request and 4 embedding partitions), and its only cell."""
    return create_ring(unique_ring, ("c0",)), cell("c0")
