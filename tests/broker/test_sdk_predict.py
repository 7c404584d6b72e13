"""The client over a real broker: one outcome for each call, whatever the other end does."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest

from manyheads.infra.settings import KafkaSettings
from manyheads.producers import (
    Client,
    ClientOptions,
    DeadlineExceeded,
    Entity,
    ErrorCode,
    InvalidRequest,
    Overloaded,
    RoutingError,
    WireError,
)
from manyheads.topics.names import CellName, RingName
from tests.broker.sdk_responder import Asked, Responder, failure, prediction, responding
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


async def test_deadline_and_trace_of_the_caller_are_passed_on(client: Client, responder: Responder) -> None:
    deadline_ms = time.time_ns() // 1_000_000 + 25_000
    parent = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
    await client.predict("acme-bank", "hello", deadline_ms=deadline_ms, traceparent=parent)
    (asked,) = responder.seen
    assert asked.envelope.deadline_ms == deadline_ms
    assert asked.envelope.traceparent == parent


async def test_a_failure_is_raised_as_its_error(client: Client, responder: Responder) -> None:
    responder.answer = lambda asked: [failure("unknown_tenant", "there is no tenant 'acme-bank' in this ring")]
    with pytest.raises(RoutingError, match="no tenant 'acme-bank'") as raised:
        await client.predict("acme-bank", "hello")
    assert raised.value.code is ErrorCode.UNKNOWN_TENANT


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


async def test_second_replies_are_ignored(client: Client, responder: Responder) -> None:
    responder.answer = lambda asked: [prediction(asked.text), failure("internal", "a second outcome"), prediction("x")]
    answers = [await client.predict("acme-bank", f"text {number}") for number in range(20)]
    assert [answer.intent.name for answer in answers] == [f"text {number}" for number in range(20)]
    responder.answer = lambda asked: [prediction(asked.text)]
    await client.predict("acme-bank", "one more, behind all duplicates")
    assert client.counts.duplicate_replies == 40


async def test_a_reply_after_the_deadline_is_ignored(client: Client, responder: Responder) -> None:
    responder.answer = lambda asked: []
    with pytest.raises(DeadlineExceeded):
        await client.predict("acme-bank", "too late", timeout=0.3)
    (asked,) = await responder.has_seen(1)
    await responder.reply(asked, prediction("too late"))
    responder.answer = lambda asked: [prediction(asked.text)]
    assert (await client.predict("acme-bank", "in time")).intent.name == "in time"
    assert (client.counts.expired, client.counts.late_replies) == (1, 1)


async def test_cancelling_frees_the_slot_at_once(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    responder.answer = lambda asked: [] if asked.text == "cancelled" else [prediction(asked.text)]
    async with Client(kafka_settings, ring=ring, max_in_flight=1) as client:
        cancelled = asyncio.create_task(client.predict("acme-bank", "cancelled"))
        (asked,) = await responder.has_seen(1)
        waiting = asyncio.create_task(client.predict("acme-bank", "waiting"))
        await asyncio.sleep(0)
        assert (client.counts.in_flight, client.counts.waiting) == (1, 1)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert (await waiting).intent.name == "waiting"
        await responder.reply(asked, prediction("cancelled"))
        await client.predict("acme-bank", "behind the late reply")
        assert (client.counts.in_flight, client.counts.late_replies) == (0, 1)


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


async def test_no_answer_says_which_workers_to_look_for(client: Client, ring: RingName) -> None:
    with pytest.raises(DeadlineExceeded, match="Kafka accepted the request") as raised:
        await client.predict("acme-bank", "nobody is there", timeout=1.0)
    assert f"encoder worker of ring '{ring}'" in raised.value.message
    assert raised.value.details["phase"] == "accepted"


async def test_a_reply_that_cannot_be_read_ends_its_call(client: Client, responder: Responder) -> None:
    responder.answer = lambda asked: []
    call = asyncio.create_task(client.predict("acme-bank", "hello"))
    (asked,) = await responder.has_seen(1)
    await responder.reply(asked, b"\xc1 random bytes")
    with pytest.raises(WireError) as raised:
        await call
    assert raised.value.code is ErrorCode.MALFORMED_MESSAGE


async def test_too_many_waiting_calls_are_turned_away(kafka_settings: KafkaSettings, ring: RingName) -> None:
    async with Client(kafka_settings, ring=ring, max_in_flight=2, options=ClientOptions(max_waiting=1)) as client:
        calls = [asyncio.create_task(client.predict("acme-bank", "hello", timeout=0.5)) for _ in range(5)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert Counter(map(type, outcomes)) == {DeadlineExceeded: 3, Overloaded: 2}
        phases = Counter(each.details.get("phase") for each in outcomes if isinstance(each, DeadlineExceeded))
        assert phases["waiting"] == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", ErrorCode.TEXT_EMPTY),
        (" \t\n", ErrorCode.TEXT_EMPTY),
        ("x" * 1_000_000, ErrorCode.TEXT_TOO_LONG),
        ("lone \ud800 surrogate", ErrorCode.TEXT_NOT_UNICODE),
        ("bell \x07", ErrorCode.TEXT_CONTROL_CHARACTER),
    ],
)
async def test_an_unusable_text_is_not_sent(client: Client, text: str, code: ErrorCode) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await client.predict("acme-bank", text)
    assert raised.value.code is code
    assert client.counts.opened == 0


@pytest.mark.parametrize("tenant", ["", "Acme", "acme bank", "../x"])
async def test_an_unusable_tenant_is_not_sent(client: Client, tenant: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await client.predict(tenant, "hello")
    assert raised.value.code is ErrorCode.INVALID_NAME
    assert client.counts.opened == 0


async def test_the_longest_text_of_the_widest_characters_fits(client: Client, responder: Responder) -> None:
    text = "🚀" * 8_192
    responder.answer = lambda asked: [prediction(f"{len(asked.text)} characters")]
    assert (await client.predict("acme-bank", text)).intent.name == "8192 characters"


async def test_an_unknown_ring_names_the_known_ones(client: Client, ring: RingName) -> None:
    with pytest.raises(RoutingError) as raised:
        await client.predict("acme-bank", "hello", ring="no-such-ring")
    assert raised.value.code is ErrorCode.UNKNOWN_RING
    assert ring in raised.value.message


async def test_a_client_of_an_unknown_ring_does_not_open(kafka_settings: KafkaSettings, ring: RingName) -> None:
    with pytest.raises(RoutingError, match="no ring 'no-such-ring'"):
        async with Client(kafka_settings, ring="no-such-ring"):
            pass


async def test_one_client_serves_several_rings(
    kafka_settings: KafkaSettings, client: Client, create_ring: Callable[[RingName, tuple[str, ...]], RingName]
) -> None:
    other = create_ring(RingName("another-ring"), ("c0",))
    async with responding(kafka_settings, other, TEST_PARTITIONS.requests) as responder:
        answer = await client.predict("acme-bank", "bonjour", ring=other)
        assert answer.intent.name == "bonjour"
        assert [asked.text for asked in responder.seen] == ["bonjour"]
