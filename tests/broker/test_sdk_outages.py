"""The client and a broker that is away, dies, comes back, or never says a word."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from manyheads.infra.admin import TopicAdmin
from manyheads.producers import Answer, BrokerError, Client, ClientClosed, ErrorCode
from manyheads.topics.catalogue import ring_topics, shared_topics
from manyheads.topics.names import RingName, cell, ring
from tests.broker.sdk_responder import Responder, responding
from tests.conftest import TEST_PARTITIONS
from tests.support.kafka import Kafka, NewKafka

RING = ring("en")


@pytest.fixture(scope="module")
def mortal_kafka(new_kafka: NewKafka) -> Iterator[Kafka]:
    """A broker of this module's own, which it may kill."""
    with new_kafka() as broker:
        yield broker


@pytest.fixture
def running_kafka(mortal_kafka: Kafka) -> Kafka:
    """The same, with a ring."""
    with TopicAdmin(mortal_kafka.settings()) as admin:
        admin.ensure(shared_topics(TEST_PARTITIONS) + ring_topics(RING, [cell("c0")], TEST_PARTITIONS))
    return mortal_kafka


@asynccontextmanager
async def killed(kafka: Kafka) -> AsyncIterator[None]:
    """The broker is dead within the block and serves again after it."""
    await asyncio.to_thread(kafka.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(kafka.restart)


@pytest.fixture
async def responder(running_kafka: Kafka) -> AsyncIterator[Responder]:
    async with responding(running_kafka.settings(), RING, TEST_PARTITIONS.requests) as each:
        yield each


async def test_a_cluster_without_topics_says_how_to_create_them(mortal_kafka: Kafka) -> None:
    with TopicAdmin(mortal_kafka.settings()) as admin:
        existing = {state.name for state in admin.list()}
    name = RingName("first-ring")
    assert existing == set(), "this test must be the first of its module"
    with pytest.raises(BrokerError, match="`manyheads topics create --ring first-ring`") as raised:
        await Client(mortal_kafka.settings(), ring=name).open()
    assert raised.value.code is ErrorCode.TOPICS_MISSING


async def test_nobody_at_the_address_is_said_within_the_timeout() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        tasks = asyncio.all_tasks()
        with pytest.raises(BrokerError, match=address) as raised:
            await Client(address, timeout=0.5).open()
        assert raised.value.code is ErrorCode.BROKER_UNREACHABLE
        assert asyncio.all_tasks() == tasks


async def test_a_server_that_never_says_a_word_is_given_up_within_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tasks = asyncio.all_tasks()
        with pytest.raises(BrokerError, match="could not be reached") as raised:
            await Client(f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.5).open()
        assert raised.value.code is ErrorCode.BROKER_UNREACHABLE
        assert asyncio.all_tasks() == tasks


async def test_a_client_opens_when_its_broker_comes_up_in_time(running_kafka: Kafka) -> None:
    async with killed(running_kafka):
        opening = asyncio.create_task(Client(running_kafka.settings(), timeout=60.0).open())
        await asyncio.sleep(0)
    await (await opening).close()


async def test_a_broker_that_died_is_named_within_the_deadline(running_kafka: Kafka, responder: Responder) -> None:
    async with Client(running_kafka.settings(), timeout=30.0) as client:
        await client.predict("acme-bank", "while it lives")
        async with killed(running_kafka):
            with pytest.raises(BrokerError, match=running_kafka.bootstrap_servers) as raised:
                await client.predict("acme-bank", "after its death", timeout=0.6)
            assert raised.value.code is ErrorCode.BROKER_UNREACHABLE
            assert (client.counts.in_flight, client.counts.expired) == (0, 1)
        assert (await client.predict("acme-bank", "alive again")).intent.name == "alive again"


async def test_closing_without_a_broker_ends_and_leaves_nothing(running_kafka: Kafka) -> None:
    tasks = asyncio.all_tasks()
    client = await Client(running_kafka.settings(), timeout=600.0).open()
    async with killed(running_kafka):
        calls = [asyncio.create_task(client.predict("acme-bank", f"text {i}")) for i in range(50)]
        await asyncio.sleep(0)
        await client.close(timeout=0.2)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ClientClosed}
        assert asyncio.all_tasks() == tasks


async def test_a_restart_under_load_costs_no_request(running_kafka: Kafka, responder: Responder) -> None:
    async with Client(running_kafka.settings(), timeout=60.0) as client:
        answers: list[Answer] = []
        halfway = asyncio.Event()

        async def load() -> None:
            requests = (("acme-bank", f"text {number}") for number in range(3_000))
            async for result in client.predict_many(requests, in_flight=200):
                answers.append(result.unwrap())
                if len(answers) == 1_000:
                    halfway.set()

        loading = asyncio.create_task(load())
        await halfway.wait()
        async with killed(running_kafka):
            assert not loading.done()
        await loading
        assert [answer.intent.name for answer in answers] == [f"text {number}" for number in range(3_000)]
        assert (client.counts.in_flight, client.counts.expired) == (0, 0)
