"""Replies that came before, or go to others: one partition of the reply topic, from an offset on."""

import asyncio
from collections.abc import AsyncGenerator

from aiokafka import ConsumerRecord, TopicPartition

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.connect import until_connected
from manyheads.producers.link import PastReply, Stretch
from manyheads.producers.options import ClientOptions
from manyheads.producers.reader import reply_consumer, stop_consumer
from manyheads.topics.headers import correlation_id_of
from manyheads.topics.names import REPLIES_TOPIC, Lane

_POLL_MS = 250
_RECORDS_AT_ONCE = 256


async def replies_from(
    settings: KafkaSettings, options: ClientOptions, lane: Lane, place: tuple[int, int], limit: float
) -> AsyncGenerator[Stretch, None]:
    """Replies of a partition from an offset on, ``place``; an empty stretch now and then while there are none.

    Raises:
        TimeoutError: Kafka could not be reached within ``limit`` seconds.
        KafkaError: it refuses us.
    """
    partition = TopicPartition(REPLIES_TOPIC, place[0])
    consumer = reply_consumer(settings, options, lane)
    try:
        async with asyncio.timeout(limit):
            await until_connected(consumer.start)
            begin = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
        consumer.assign([partition])
        consumer.seek(partition, max(place[1], begin))
        position, gap = max(place[1], begin), place[1] < begin
        while True:
            found = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=_RECORDS_AT_ONCE)
            records = found.get(partition, ())
            # Markers of transactions are passed over: the consumer alone knows.
            position = max(position, await consumer.position(partition))
            yield Stretch(tuple(_past(each) for each in records), caught_up=position >= end, gap=gap)
    finally:
        await stop_consumer(consumer)


def _past(record: ConsumerRecord) -> PastReply:
    return PastReply(correlation_id_of(record.headers), record.value, record.timestamp)
