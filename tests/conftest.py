"""What tests share that need a broker: one Kafka for the whole run, and names and topics of a test's own."""

import random
import uuid
from collections.abc import Callable, Iterator

import pytest

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.catalogue import Partitions, ring_topics, shared_topics
from manyheads.topics.names import CellName, RingName, cell, ring
from tests.support.kafka import Kafka, NewKafka, embedded, in_containers

TEST_PARTITIONS = Partitions(requests=2, embeddings=4, replies=2)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kafka",
        choices=("embedded", "container"),
        default="embedded",
        help="what brokers the tests run on: the embedded ones (default), or Apache's image, which needs Docker",
    )
    parser.addoption("--moments", type=int, default=3, help="how often a bulk job is struck (tests/chaos)")
    parser.addoption("--seed", type=int, default=random.randrange(10**6), help="of these moments; the header shows it")


def pytest_report_header(config: pytest.Config) -> str:
    return f"bulk jobs: --moments {config.getoption('moments')} --seed {config.getoption('seed')}"


@pytest.fixture(scope="session")
def new_kafka(pytestconfig: pytest.Config) -> NewKafka:
    """Call it to have a Kafka of the test's own, which it may kill: ``with new_kafka() as kafka``."""
    return in_containers() if pytestconfig.getoption("kafka") == "container" else embedded()


@pytest.fixture(scope="session")
def kafka(new_kafka: NewKafka) -> Iterator[Kafka]:
    """A real broker that the whole run shares: keep to a ring of your own, and never stop it."""
    with new_kafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_settings(kafka: Kafka) -> KafkaSettings:
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
