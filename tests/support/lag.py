"""Producing and committing by hand, and looking at what is measured of it."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, Producer, TopicPartition

from manyheads.infra.lag import Clock, GroupLag, LagMonitor, LagSnapshot, LagState
from manyheads.infra.settings import KafkaSettings

WRITTEN_MS = (int(time.time()) - 600) * 1_000
"""lately: a broker deletes, whenever it comes to look, what is older than a topic's retention"""
PATIENCE_S = 120.0


@dataclass
class Hands:
    """A clock that the test turns."""

    now_s: float = 100.0

    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, lambda: WRITTEN_MS / 1_000 + self.now_s)


@contextmanager
def producing(settings: KafkaSettings, transactional_id: str | None = None) -> Iterator[Producer]:
    """A producer, with transactions if it has an id for them."""
    config = settings.confluent() | ({} if transactional_id is None else {"transactional.id": transactional_id})
    producer = Producer(config)
    if transactional_id is not None:
        producer.init_transactions(30)
    yield producer
    producer.flush(30)


def write(
    producer: Producer, topic: str, count: int, partition: int = 0, *, first_s: float = 0.0, value: bytes = b"record"
) -> None:
    """Records a second apart, the first ``first_s`` after WRITTEN_MS."""
    for number in range(count):
        at_ms = int(WRITTEN_MS + (first_s + number) * 1_000)
        producer.produce(topic, value, partition=partition, timestamp=at_ms)
    assert producer.flush(30) == 0


def commit(settings: KafkaSettings, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """As a consumer without a group protocol does."""
    consumer = Consumer(settings.confluent() | {"group.id": group})
    consumer.commit(
        offsets=[TopicPartition(topic, partition, offset) for partition, offset in offsets.items()], asynchronous=False
    )
    consumer.close()


def group_of(snapshot: LagSnapshot, name: str) -> GroupLag:
    """A group that is measured."""
    assert snapshot.broker is None, snapshot.broker
    (found,) = [group for group in snapshot.groups if group.group == name]
    return found


def figures_of(snapshot: LagSnapshot, name: str) -> int | None:
    """The lag of a group of which every partition is measured; None while one is not, or Kafka is away."""
    for group in snapshot.groups:
        if group.group == name and group.partitions and all(each.lag is not None for each in group.partitions):
            return group.lag
    return None


def polled_until(monitor: LagMonitor, wanted: Callable[[LagSnapshot], bool]) -> LagSnapshot:
    """The first snapshot that is as wanted. What each poll says must make sense: a bad state has a sentence."""
    until = time.monotonic() + PATIENCE_S
    while True:
        snapshot = monitor.poll()
        for group in snapshot.groups:
            sentences = [group.sentence, *(each.sentence for each in group.partitions)]
            assert all(sentences), group
        if wanted(snapshot):
            return snapshot
        assert time.monotonic() < until, snapshot


def settled(monitor: LagMonitor, name: str) -> GroupLag:
    """Once the leaders of new partitions know that they are."""
    snapshot = polled_until(monitor, lambda each: group_of(each, name).state is not LagState.ERR)
    return group_of(snapshot, name)


def only(name: str) -> "re.Pattern[str]":
    """What matches the groups whose names begin so."""
    return re.compile(re.escape(name) + ".*")
