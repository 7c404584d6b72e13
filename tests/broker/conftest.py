"""What the broker tests share; the broker itself is in tests/conftest.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Client
from manyheads.topics.names import CellName, RingName
from tests.broker.sdk_responder import Responder, responding
from tests.conftest import TEST_PARTITIONS
from tests.support.kafka import NewKafka

if TYPE_CHECKING:
    from tests.broker.pipelines import Pipelines


@pytest.fixture(scope="package")
def pipelines(new_kafka: NewKafka) -> Iterator[Pipelines]:
    """Whole pipelines on a broker of their own, shared by the end-to-end tests."""
    from tests.broker.pipelines import running_pipelines  # only these tests need the models' libraries

    with new_kafka() as kafka, running_pipelines(kafka) as running:
        yield running


@pytest.fixture
def ring(ring_with_topics: tuple[RingName, CellName]) -> RingName:
    """A ring of this test's own whose topics exist."""
    return ring_with_topics[0]


@pytest.fixture
async def responder(kafka_settings: KafkaSettings, ring: RingName) -> AsyncIterator[Responder]:
    """Answers every request of the ring, at first by its echo."""
    async with responding(kafka_settings, ring, TEST_PARTITIONS.requests) as each:
        yield each


@pytest.fixture
async def client(kafka_settings: KafkaSettings, ring: RingName) -> AsyncIterator[Client]:
    """A client of the ring."""
    async with Client(kafka_settings, ring=ring, timeout=30.0) as each:
        yield each
