"""The client over a real broker: one outcome for each call, whatever the other end does."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest

from manyheads.infra.settings import KafkaSettings
from manyheads.producers import (
    Client,
    Entity,
    ErrorCode,
    WireError,
)
from manyheads.topics.names import CellName, RingName
from tests.broker.sdk_responder import Asked, Responder, prediction, responding
from tests.conftest import TEST_PARTITIONS

Ring = tuple[RingName, CellName]


async def test_a_text_gets_its_answer(client: Client, responder: Responder) -> None:
    before_ms = time.time_ns() // 1_000_000
    answer = await client.predict("acme-bank", "move 40 euros", timeout=20.0)
    assert answer.intent.name == "move 40 euros"
    assert answer.entities == (Entity("first-word", 0, 4, "move", 0.5),)
    assert (answer.versions.head, answer.timings.head.compute_ms, answer.truncated) == ("h1", 1.5, False)
    assert answer.latency_ms > 0
    (asked,) = responder.seen
    assert asked.envelope.tenant == answer.tenant == "acme-bank"
    assert asked.envelope.reply.topic == "nlu.replies"
    assert asked.envelope.reply.partition in range(TEST_PARTITIONS.replies)
    assert len(asked.envelope.reply.correlation_id) == 16
    assert asked.envelope.deadline_ms is not None
    assert before_ms + 20_000 <= asked.envelope.deadline_ms <= time.time_ns() // 1_000_000 + 20_001


async def test_thousands_in_flight_each_get_their_own_answer(client: Client, responder: Responder) -> None:
    held: list[Asked] = []
    responder.answer = lambda asked: held.append(asked) or []  # type: ignore[func-returns-value]
    texts = [f"text {number}" for number in range(5_000)]
    calls = [asyncio.create_task(client.predict("acme-bank", text)) for text in texts]
    await responder.has_seen(5_000)
    assert client.counts.in_flight == 5_000
    for asked in reversed(held):  # the last first
        await responder._producer.send(
            asked.envelope.reply.topic,
            prediction(asked.text).to_bytes(),
            partition=asked.envelope.reply.partition,
            headers=[("kafka_correlationId", asked.envelope.reply.correlation_id)],
        )
    answers = await asyncio.gather(*calls)
    assert [answer.intent.name for answer in answers] == texts
    counts = client.counts
    assert (counts.answered, counts.in_flight, counts.duplicate_replies, counts.late_replies) == (5_000, 0, 0, 0)
    # No worker gets more than its share of the partitions.
    assert set(Counter(asked.partition for asked in held).values()) == {5_000 // TEST_PARTITIONS.requests}


async def test_clients_on_one_partition_do_not_see_each_others_answers(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    clients = [Client(kafka_settings, ring=ring, timeout=30.0) for _ in range(TEST_PARTITIONS.replies + 1)]
    try:
        for client in clients:
            await client.open()
        texts = [[f"client {i} text {j}" for j in range(50)] for i in range(len(clients))]
        calls = [
            client.predict("acme-bank", text) for client, mine in zip(clients, texts, strict=True) for text in mine
        ]
        names = [answer.intent.name for answer in await asyncio.gather(*calls)]
        assert names == [text for mine in texts for text in mine]
        # More clients than partitions: two of them at least read the same one.
        for client in clients:
            await client.predict("acme-bank", "behind all others' replies")
        assert sum(client.counts.foreign_replies for client in clients) >= 50
        assert sum(client.counts.duplicate_replies for client in clients) == 0
    finally:
        await asyncio.gather(*(client.close() for client in clients))


async def test_a_reply_that_cannot_be_read_ends_its_call(client: Client, responder: Responder) -> None:
    responder.answer = lambda asked: []
    call = asyncio.create_task(client.predict("acme-bank", "hello"))
    (asked,) = await responder.has_seen(1)
    await responder.reply(asked, b"\xc1 random bytes")
    with pytest.raises(WireError) as raised:
        await call
    assert raised.value.code is ErrorCode.MALFORMED_MESSAGE


async def test_the_longest_text_of_the_widest_characters_fits(client: Client, responder: Responder) -> None:
    text = "🚀" * 8_192
    responder.answer = lambda asked: [prediction(f"{len(asked.text)} characters")]
    assert (await client.predict("acme-bank", text)).intent.name == "8192 characters"


async def test_one_client_serves_several_rings(
    kafka_settings: KafkaSettings, client: Client, create_ring: Callable[[RingName, tuple[str, ...]], RingName]
) -> None:
    other = create_ring(RingName("another-ring"), ("c0",))
    async with responding(kafka_settings, other, TEST_PARTITIONS.requests) as responder:
        answer = await client.predict("acme-bank", "bonjour", ring=other)
        assert answer.intent.name == "bonjour"
        assert [asked.text for asked in responder.seen] == ["bonjour"]
