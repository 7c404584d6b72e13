"""Consuming through librdkafka, as a member of a group."""

import logging
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from manyheads.infra.kafka.background import BackgroundCall
from manyheads.infra.kafka.config import Config
from manyheads.infra.kafka.errors import broker_error, is_for_good, kafka_error, log, log_client_error
from manyheads.infra.kafka.records import Offsets, Record, TopicPartition
from manyheads.infra.kafka.transport import RebalanceListener
from manyheads.infra.telemetry import event
from manyheads.topics.errors import BrokerError, ErrorCode
from manyheads.topics.headers import Headers

_METADATA_S = 10.0

_Positions = list[confluent_kafka.TopicPartition]

CountPartitions = Callable[[str, float], int]
"""Asks the broker how many partitions a topic has, 0 if there is no such topic, within a timeout in seconds. Through
another client than the consumer: its own ``list_topics``, called within a rebalance, makes the next callback of the
same poll abort the process (confluent-kafka 2.16)."""


class ConfluentConsumer:
    """A group member that fetches ahead within bounds; partitions move by incremental rebalances."""

    def __init__(self, config: Config, topic: str, listener: RebalanceListener, count: CountPartitions) -> None:
        self._topic = topic
        self._count_partitions = count
        self._listener = listener
        self._assigned: set[TopicPartition] = set()
        self._refused: list[TopicPartition] = []
        self._count = 0
        self._in_callback = False
        callbacks = {"on_commit": self._on_commit, "error_cb": log_client_error}
        self._consumer = confluent_kafka.Consumer(config | callbacks, logger=log)
        self._consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def take(self, limit: int, timeout_s: float) -> list[Record]:
        # consume() alone would wait for all of `limit`.
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(limit - 1, 0)] if limit > 1 else [first]
        records = []
        for message in messages:
            error = message.error()
            if error is not None:
                self._check(error)
            elif (self._topic, message.partition()) in self._assigned:  # else it left between poll and consume
                records.append(as_record(message))
        return records

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        ours = [at for at in partitions if at in self._assigned]
        if ours:
            self._consumer.resume(_positions(ours))

    def rewind(self, start: Offsets, timeout_s: float) -> bool:
        ours = [at for at in start if at in self._assigned]
        if not ours:
            return True
        try:
            for position in self._consumer.committed(_positions(ours), timeout_s):
                if position.error is not None:
                    return False
                if position.offset < 0:
                    position.offset = start[TopicPartition(position.topic, position.partition)]
                self._consumer.seek(position)
        except KafkaException as raised:
            event(log, "rewind_postponed", level=logging.WARNING, reason=kafka_error(raised).str())
            return False
        return True

    def commit(self, offsets: Offsets) -> None:
        try:
            self._consumer.commit(offsets=_positions(offsets, offsets), asynchronous=True)
        except KafkaException:
            self._refused += offsets

    def commit_now(self, offsets: Offsets, timeout_s: float) -> None:
        try:
            answers = self._commit_and_wait(_positions(offsets, offsets), timeout_s)
        except KafkaException as raised:
            raise broker_error("offsets could not be committed", kafka_error(raised)) from raised
        for answer in answers:
            if answer.error is not None:
                raise broker_error("offsets could not be committed", answer.error)

    def _commit_and_wait(self, positions: _Positions, timeout_s: float) -> _Positions:
        if self._in_callback:
            # During a rebalance librdkafka lets this thread commit and no other; the broker was there just now.
            return self._consumer.commit(offsets=positions, asynchronous=False)
        call = BackgroundCall(lambda: self._consumer.commit(offsets=positions, asynchronous=False))
        if call.wait(timeout_s):
            return call.result()
        raise BrokerError(
            ErrorCode.BROKER_UNREACHABLE,
            f"offsets could not be committed within {timeout_s:.0f} s; does the broker run?",
            seconds=timeout_s,
        )

    def refused_commits(self) -> Sequence[TopicPartition]:
        refused, self._refused = self._refused, []
        return refused

    def membership(self) -> object:
        return self._consumer.consumer_group_metadata()

    def partition_count(self) -> int:
        try:
            count = self._count_partitions(self._topic, _METADATA_S)
        except KafkaException as raised:
            if self._count:
                return self._count
            raise broker_error(f"nothing is known of {self._topic}", kafka_error(raised)) from raised
        if not count:
            raise BrokerError(ErrorCode.TOPICS_MISSING, f"{self._topic} does not exist; create it", topic=self._topic)
        self._count = count
        return count

    def close(self, timeout_s: float) -> None:
        call = BackgroundCall(self._consumer.close)
        if call.wait(timeout_s):
            call.result()
        else:
            event(log, "consumer_left_behind", level=logging.WARNING, topic=self._topic, seconds=timeout_s)

    def _check(self, error: KafkaError) -> None:
        if error.fatal() or is_for_good(error):
            raise broker_error(f"{self._topic} cannot be consumed", error)
        log_client_error(error)

    def _on_assign(self, consumer: confluent_kafka.Consumer, positions: _Positions) -> None:
        if not positions:
            return
        consumer.incremental_assign(positions)
        consumer.pause(positions)
        partitions = _partitions(positions)
        self._assigned.update(partitions)
        self._listener.assigned(partitions)

    def _on_revoke(self, consumer: confluent_kafka.Consumer, positions: _Positions) -> None:
        partitions = _partitions(positions)
        self._in_callback = True
        try:
            self._listener.revoked(partitions)
        finally:
            self._in_callback = False
        self._assigned.difference_update(partitions)
        consumer.incremental_unassign(positions)

    def _on_lost(self, consumer: confluent_kafka.Consumer, positions: _Positions) -> None:
        partitions = _partitions(positions)
        self._assigned.difference_update(partitions)
        self._listener.lost(partitions)
        consumer.incremental_unassign(positions)

    def _on_commit(self, error: KafkaError | None, positions: _Positions) -> None:
        self._refused += _partitions(
            [position for position in positions if error is not None or position.error is not None]
        )


def as_record(message: Any) -> Record:
    """The record that a message without an error carries."""
    # Any: the stubs allow for messages that carry errors and have no topic.
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        _headers(message),
    )


# For a name that is no UTF-8 confluent-kafka returns a result and leaves an exception set. Python notices that at once
# where C calls the method; where hot code does, specialised by the interpreter, only at some later call.
_read_headers = methodcaller("headers")


def _headers(message: Any) -> Headers:
    try:
        return tuple(_read_headers(message) or ())
    except (SystemError, UnicodeDecodeError):
        # A name that is no UTF-8: confluent-kafka gives none of the headers then. The record lacks what it must have,
        # so it goes to the dead letters and stops nobody.
        return ()


def _positions(partitions: Sequence[TopicPartition] | Offsets, offsets: Offsets | None = None) -> _Positions:
    if offsets is None:
        return [confluent_kafka.TopicPartition(*at) for at in partitions]
    return [confluent_kafka.TopicPartition(*at, offset) for at, offset in offsets.items()]


def _partitions(positions: _Positions) -> list[TopicPartition]:
    return [TopicPartition(position.topic, position.partition) for position in positions]
