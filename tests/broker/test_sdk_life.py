"""A client's life over a real broker: opened, closed, and mended where its Kafka clients break."""

import asyncio
import gc
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Answer, Client, ClientClosed, ClientOptions, ErrorCode, Lane, RoutingError
from manyheads.producers.kafka_link import KafkaLink
from manyheads.producers.reader import ReplyReader
from manyheads.topics.catalogue import ring_topics
from manyheads.topics.names import REPLIES_TOPIC, RingName, cell, requests_topic
from tests.broker.sdk_responder import Responder, prediction, responding
from tests.conftest import TEST_PARTITIONS


def open_sockets() -> int:
    """Of this process."""
    gc.collect()
    return sum(each.is_socket() for each in Path("/proc/self/fd").iterdir())


@pytest.fixture
def unused_ring(create_ring: Callable[[RingName], RingName], unique_ring: RingName) -> RingName:
    """Another ring, without workers."""
    return create_ring(RingName(f"{unique_ring}-2"))


def kafka_link(client: Client) -> KafkaLink:
    """What the client is linked by."""
    link = client._exchange._link
    assert isinstance(link, KafkaLink)
    return link


async def test_a_closed_client_leaves_no_task_and_no_socket(kafka_settings: KafkaSettings, ring: RingName) -> None:
    asyncio.get_running_loop().set_debug(True)
    sockets, tasks = open_sockets(), asyncio.all_tasks()
    async with (
        responding(kafka_settings, ring, TEST_PARTITIONS.requests),
        Client(kafka_settings, ring=ring, timeout=30.0) as client,
    ):
        await asyncio.gather(*(client.predict("acme-bank", f"text {i}") for i in range(100)))
    assert asyncio.all_tasks() == tasks
    assert open_sockets() == sockets


async def test_closing_at_any_moment_of_the_opening_leaves_no_socket(
    kafka_settings: KafkaSettings, ring: RingName
) -> None:
    began = time.monotonic()
    async with Client(kafka_settings, ring=ring, timeout=600.0):
        opening_s = time.monotonic() - began
    sockets, tasks = open_sockets(), asyncio.all_tasks()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        for moment in range(100):
            client = Client(kafka_settings, ring=ring, timeout=600.0)
            opening = asyncio.create_task(client.open())
            await asyncio.sleep(opening_s * moment / 80)
            await client.close(timeout=0.0)
            (outcome,) = await asyncio.gather(opening, return_exceptions=True)
            assert outcome is client or isinstance(outcome, ClientClosed), outcome
            assert asyncio.all_tasks() == tasks
        assert open_sockets() == sockets
    assert [str(each.message) for each in told] == []  # what the garbage collector had to close


async def test_closing_does_not_wait_for_a_broker_that_the_opening_waits_for() -> None:
    client = Client("127.0.0.1:1", timeout=600.0)  # nobody listens there
    opening = asyncio.create_task(client.open())
    await asyncio.sleep(0.3)
    await client.close()
    with pytest.raises(ClientClosed, match="while it was being opened"):
        await opening


@pytest.mark.parametrize("used_before", [True, False])
async def test_a_ring_that_is_removed_is_told_so_and_no_other_notices(
    kafka_settings: KafkaSettings, ring: RingName, unused_ring: RingName, responder: Responder, used_before: bool
) -> None:
    options = ClientOptions(request_timeout_s=60.0)  # so long everything would stand still
    specs = ring_topics(unused_ring, [cell("c0")], TEST_PARTITIONS)
    async with Client(kafka_settings, ring=ring, timeout=30.0, options=options) as client:
        producer = kafka_link(client).sender._producer
        if used_before:
            await client.send("acme-bank", "while it is there", ring=unused_ring)
        with TopicAdmin(kafka_settings) as admin:
            await asyncio.to_thread(admin.delete, [spec.name for spec in specs])
        answers: list[Answer] = []
        told = asyncio.Event()

        async def ask_the_other_ring() -> None:
            while not told.is_set():
                answers.append(await client.predict("acme-bank", "hello"))

        asking = asyncio.create_task(ask_the_other_ring())
        calls = [client.predict("acme-bank", f"text {number}", ring=unused_ring) for number in range(50)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {RoutingError}
        with pytest.raises(RoutingError) as raised:
            await client.predict("acme-bank", "hello", ring=unused_ring)
        assert raised.value.code is ErrorCode.UNKNOWN_RING
        told.set()
        await asking
        assert len(answers) > 1
        assert kafka_link(client).sender._producer is producer

        with TopicAdmin(kafka_settings) as admin:
            await asyncio.to_thread(admin.ensure, specs)
        async with responding(kafka_settings, unused_ring, TEST_PARTITIONS.requests):
            answer = await until_it_is_found(client, unused_ring)
        assert answer.intent.name == "there again"
        assert client.counts.in_flight == 0


async def until_it_is_found(client: Client, ring: RingName) -> Answer:
    """An answer of a ring that was just created."""
    while True:
        try:
            return await client.predict("acme-bank", "there again", ring=ring)
        except RoutingError:
            await asyncio.sleep(0.1)


async def test_requests_to_a_ring_that_is_new_to_the_client_keep_their_order(
    kafka_settings: KafkaSettings, client: Client, create_ring: Callable[[RingName], RingName], unique_ring: RingName
) -> None:
    new = create_ring(RingName(f"{unique_ring}-new"))
    async with responding(kafka_settings, new, TEST_PARTITIONS.requests) as responder:
        texts = [f"{number:03}" for number in range(100)]
        answers = await asyncio.gather(*(client.predict("acme-bank", text, ring=new) for text in texts))
    assert [answer.intent.name for answer in answers] == texts
    for partition in range(TEST_PARTITIONS.requests):
        arrived = [asked.text for asked in responder.seen if asked.partition == partition]
        assert arrived == sorted(arrived)


async def test_a_lost_sequence_number_costs_no_request(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    # What an idempotent producer meets when a broker has lost the end of its log: everything after it is refused.
    async with Client(kafka_settings, ring=ring, timeout=30.0) as client:
        await asyncio.gather(*(client.predict("acme-bank", f"before {i}") for i in range(20)))
        sender = kafka_link(client).sender
        producer = sender._producer
        assert producer is not None
        for partition in range(TEST_PARTITIONS.requests):
            producer._txn_manager.increment_sequence_number(TopicPartition(requests_topic(ring), partition), 7)
        answers = await asyncio.gather(*(client.predict("acme-bank", f"after {i}") for i in range(20)))
        assert [answer.intent.name for answer in answers] == [f"after {i}" for i in range(20)]
        assert sender._producer is not producer


async def test_a_lost_consumer_misses_no_reply(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    responder.answer = lambda asked: []
    async with Client(kafka_settings, ring=ring, timeout=30.0) as client:
        call = asyncio.create_task(client.predict("acme-bank", "hello"))
        (asked,) = await responder.has_seen(1)
        reader = kafka_link(client).reader
        consumer = reader._consumer
        assert consumer is not None
        consumer._fetcher.error_future.cancel()
        await responder.reply(asked, prediction("hello"))
        assert (await call).intent.name == "hello"
        assert reader._consumer is not consumer


async def test_batch_answers_of_an_aborted_transaction_are_never_seen(
    kafka_settings: KafkaSettings, ring: RingName
) -> None:
    async with (
        responding(kafka_settings, ring, TEST_PARTITIONS.requests, Lane.BATCH) as responder,
        AIOKafkaProducer(**kafka_settings.aiokafka(), transactional_id=f"head-{ring}") as producer,
        Client(kafka_settings, ring=ring, lane=Lane.BATCH, timeout=30.0) as client,
    ):
        responder.answer = lambda asked: []
        call = asyncio.create_task(client.predict("acme-bank", "a longer text"))
        (asked,) = await responder.has_seen(1)
        await producer.begin_transaction()
        await responder.reply(asked, prediction("aborted"), producer)
        await producer.abort_transaction()
        async with producer.transaction():
            await responder.reply(asked, prediction("committed"), producer)
        assert (await call).intent.name == "committed"
        assert client.counts.duplicate_replies == 0


async def test_an_open_batch_transaction_delays_no_interactive_answer(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    async with (
        AIOKafkaProducer(**kafka_settings.aiokafka(), transactional_id=f"head-{ring}") as producer,
        Client(kafka_settings, ring=ring, timeout=30.0) as client,
    ):
        await client.predict("acme-bank", "which partition is mine")
        async with producer.transaction():
            await responder.reply(responder.seen[0], prediction("an uncommitted batch reply before yours"), producer)
            assert (await client.predict("acme-bank", "hello")).intent.name == "hello"


async def test_a_reader_goes_on_where_it_was_not_at_the_end(kafka_settings: KafkaSettings, topic_admin: object) -> None:
    replies: asyncio.Queue[tuple[bytes, bytes | None]] = asyncio.Queue()
    reader = ReplyReader(
        kafka_settings, ClientOptions(), Lane.INTERACTIVE, lambda key, value, headers: replies.put_nowait((key, value))
    )
    await reader.open()
    await reader.attach(0)
    await reader.close()
    async with AIOKafkaProducer(**kafka_settings.aiokafka()) as producer:
        headers = [("kafka_correlationId", b"while it was away")]
        await producer.send_and_wait(REPLIES_TOPIC, b"value", partition=0, headers=headers)
    reading = asyncio.create_task(reader.run())
    assert await replies.get() == (b"while it was away", b"value")
    reading.cancel()
    await asyncio.wait([reading])
    await reader.close()
