"""What p11 compares with: request-reply over Kafka as one would write it with aiokafka, and the worker that answers.

It has what any such code needs: an idempotent producer, a correlation id, a reply partition read by hand, a deadline,
and a dictionary of futures. It checks nothing, limits nothing, and mends nothing.
"""

import asyncio
import os
import sys
from contextlib import suppress
from typing import Any, Self

import msgpack
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Position

from manyheads.infra.settings import KafkaSettings
from manyheads.topics.messages import (
    EntitySpan,
    Intent,
    Prediction,
    Reply,
    StageTiming,
    Timings,
    Versions,
)
from manyheads.topics.names import REPLIES_TOPIC

TIMEOUT_S = 60.0


class HandwrittenClient:
    """Asks, and waits for the reply."""

    def __init__(self, settings: KafkaSettings, topic: str, reply_partition: int) -> None:
        self._topic = topic
        self._place = TopicPartition(REPLIES_TOPIC, reply_partition)
        self._prefix, self._number = os.urandom(8), 0
        self._waiting: dict[bytes, asyncio.Future[dict[str, Any]]] = {}
        self._producer = AIOKafkaProducer(
            **settings.aiokafka(), enable_idempotence=True, acks="all", max_batch_size=256 * 1024
        )
        self._consumer = AIOKafkaConsumer(**settings.aiokafka(), enable_auto_commit=False)
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        self._consumer.assign([self._place])
        await self._consumer.seek_to_end(self._place)
        await self._consumer.position(self._place)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._reading is not None
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        await self._consumer.stop()
        await self._producer.stop()

    async def predict(self, tenant: str, text: str) -> dict[str, Any]:
        """The reply, decoded."""
        loop = asyncio.get_running_loop()
        correlation_id = self._prefix + self._number.to_bytes(8, "big")
        self._number += 1
        future: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._waiting[correlation_id] = future
        headers = [
            ("kafka_correlationId", correlation_id),
            ("kafka_replyTopic", REPLIES_TOPIC.encode()),
            ("kafka_replyPartition", self._place.partition.to_bytes(4, "big")),
            ("tenant", tenant.encode()),
        ]
        await self._producer.send(self._topic, msgpack.packb({"v": 1, "text": text}), headers=headers)
        async with asyncio.timeout(TIMEOUT_S):
            return await future

    async def _read(self) -> None:
        async for record in self._consumer:
            found = dict(record.headers)
            future = self._waiting.pop(found["kafka_correlationId"], None)
            if future is not None and not future.done():
                future.set_result(msgpack.unpackb(record.value))


def _reply() -> bytes:
    timing = StageTiming(queue_ms=0.25, compute_ms=1.5)
    prediction = Prediction(
        intents=(Intent(name="transfer_money", confidence=0.97), Intent(name="balance", confidence=0.02)),
        entities=(EntitySpan(label="amount", start=5, end=13, confidence=0.98),),
        versions=Versions(head="20261121-3f9a", encoder="20261121-01", space="minilm-l6-v2"),
        timings=Timings(encoder=timing, head=timing),
    )
    return Reply(prediction=prediction).to_bytes()


def answer(servers: str, topic: str, partitions: int) -> None:
    """Reply to every request with the same prediction, until the process is ended; says so once it reads."""
    reply = _reply()
    settings = KafkaSettings(bootstrap_servers=servers)
    connection: dict[str, Any] = dict(settings.confluent())
    consumer = Consumer(connection | {"group.id": "p11", "enable.auto.commit": False, "fetch.wait.max.ms": 10})
    producer = Producer(connection | {"linger.ms": 1})
    positions = [
        Position(topic, number, consumer.get_watermark_offsets(Position(topic, number))[1])
        for number in range(partitions)
    ]
    consumer.assign(positions)
    print("reading", flush=True)
    while True:
        for message in consumer.consume(500, 0.05):
            found: dict[str, Any] = dict(message.headers() or ())
            producer.produce(
                REPLIES_TOPIC,
                reply,
                partition=int.from_bytes(found["kafka_replyPartition"], "big"),
                headers=[("kafka_correlationId", found["kafka_correlationId"])],
            )
            producer.poll(0)
        producer.poll(0)


if __name__ == "__main__":
    answer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
