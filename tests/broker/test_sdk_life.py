"""A client's life over a real broker: opened, closed, and mended where its Kafka clients break."""

import asyncio
import gc
from pathlib import Path

from aiokafka import AIOKafkaProducer, TopicPartition

from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Client, ClientOptions, Lane
from manyheads.producers.kafka_link import KafkaLink
from manyheads.producers.reader import ReplyReader
from manyheads.topics.names import REPLIES_TOPIC, RingName, requests_topic
from tests.broker.sdk_responder import Responder, prediction, responding
from tests.conftest import TEST_PARTITIONS


def open_sockets() -> int:
    """Of this process."""
    gc.collect()
    return sum(each.is_socket() for each in Path("/proc/self/fd").iterdir())


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
