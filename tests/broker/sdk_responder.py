"""The other end of the SDK, over the real broker: takes requests from their topic and replies as a test wants it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from manyheads.infra.settings import KafkaSettings
from manyheads.topics.headers import Envelope, reply_headers
from manyheads.topics.messages import (
    EntitySpan,
    Failure,
    Intent,
    Prediction,
    Reply,
    Request,
    StageTiming,
    Timings,
    Versions,
)
from manyheads.topics.names import Lane, RingName, requests_topic

_TIMING = StageTiming(queue_ms=0.25, compute_ms=1.5)


@dataclass(frozen=True)
class Asked:
    """A request as it came, one for each of its tenants."""

    text: str
    envelope: Envelope
    partition: int


def echo(asked: Asked) -> Sequence[Reply]:
    """One reply, whose intent is the text and whose entity is its first word."""
    return [prediction(asked.text)]


def prediction(text: str) -> Reply:
    """A reply that can be told from that to any other text."""
    word = text.split(" ", 1)[0]
    return Reply(
        prediction=Prediction(
            intents=(Intent(name=text[:200], confidence=0.875),),
            entities=(EntitySpan(label="first-word", start=0, end=len(word), confidence=0.5),),
            versions=Versions(head="h1", encoder="e1", space="test-space"),
            timings=Timings(encoder=_TIMING, head=_TIMING),
        )
    )


def failure(error_code: str, message: str) -> Reply:
    """A reply that carries an error."""
    return Reply(failure=Failure(code=error_code, message=message))


class Responder:
    """Replies to every request at once as ``answer`` says; what it has no reply to is left to the test."""

    def __init__(self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
        self._consumer = consumer
        self._producer = producer
        self.answer: Callable[[Asked], Sequence[Reply]] = echo
        self.seen: list[Asked] = []
        self.records = 0
        self._arrived = asyncio.Condition()

    async def has_seen(self, count: int) -> Sequence[Asked]:
        """Wait for this many requests in all."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.seen) >= count)
        return self.seen

    async def reply(self, asked: Asked, reply: Reply | bytes, producer: AIOKafkaProducer | None = None) -> None:
        """Send a reply, and return once the broker has it."""
        address = asked.envelope.reply
        value = reply if isinstance(reply, bytes) else reply.to_bytes()
        headers = list(reply_headers(address))
        await (producer or self._producer).send_and_wait(
            address.topic, value, partition=address.partition, headers=headers
        )

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            for records in (await self._consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    await self._take(record)
                async with self._arrived:
                    self._arrived.notify_all()

    async def _take(self, record: ConsumerRecord) -> None:
        text = Request.from_bytes(record.value).text
        self.records += 1
        for envelope in Envelope.from_headers(record.headers).for_each():
            asked = Asked(text, envelope, record.partition)
            for reply in self.answer(asked):
                address = envelope.reply
                headers = list(reply_headers(address))
                await self._producer.send(address.topic, reply.to_bytes(), partition=address.partition, headers=headers)
            self.seen.append(asked)


@asynccontextmanager
async def responding(
    settings: KafkaSettings, ring: RingName, partitions: int, lane: Lane = Lane.INTERACTIVE
) -> AsyncIterator[Responder]:
    """A responder for all request partitions of a ring, from now on."""
    topic = requests_topic(ring, lane)
    async with (
        AIOKafkaConsumer(**settings.aiokafka(), auto_offset_reset="earliest") as consumer,
        AIOKafkaProducer(**settings.aiokafka(), enable_idempotence=True) as producer,
    ):
        places = [TopicPartition(topic, partition) for partition in range(partitions)]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        for place, end in ends.items():
            consumer.seek(place, end)
        responder = Responder(consumer, producer)
        running = asyncio.create_task(responder.run())
        try:
            yield responder
        finally:
            running.cancel()
            await asyncio.wait([running])
            if not running.cancelled():
                running.result()
