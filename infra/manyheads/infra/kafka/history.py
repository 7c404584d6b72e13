"""Reading what topics keep of a span of time: outside any consumer group, and nothing is written or committed."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from manyheads.infra.kafka.consumer import as_record
from manyheads.infra.kafka.errors import broker_error, is_for_good, kafka_error, log, log_client_error
from manyheads.infra.kafka.records import Record, TopicPartition
from manyheads.infra.settings.kafka import KafkaSettings
from manyheads.topics.errors import BrokerError, ErrorCode
from manyheads.topics.limits import MAX_DEAD_LETTER_BYTES

_BATCH = 500
_WAIT_S = 0.2
_PREFETCH_KB = 64 * 1024

_CONFIG: dict[str, object] = {
    # librdkafka wants a group's name; without subscribe and commit none is ever joined.
    "group.id": "manyheads-history-unused",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",  # retention may be faster than we are
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    "reconnect.backoff.max.ms": 1_000,
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": _PREFETCH_KB,
    "fetch.message.max.bytes": 8 * 1024 * 1024,
    "fetch.max.bytes": 32 * 1024 * 1024,
    "receive.message.max.bytes": 32 * 1024 * 1024 + MAX_DEAD_LETTER_BYTES,
    # The default of a second stalls a queue that was full.
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 100,
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of one partition that lies in a span of time: offsets ``start`` to ``end``, the end exclusive."""

    at: TopicPartition
    start: int
    end: int
    cut: bool
    """whether the span begins before all that the partition still has, and records were deleted from the partition

    Whether any of those were of the span Kafka does not tell: they may all have been older.
    """

    @property
    def records(self) -> int:
        """Offsets in it: records, and the markers of transactions."""
        return max(0, self.end - self.start)


@dataclass(frozen=True, slots=True)
class Portion:
    """What one step of reading brought."""

    records: Sequence[Record]
    passed: int
    """offsets that are behind us now, of all stretches"""


class History:
    """Reads stretches of topics; a context manager, for one thread.

    Every method raises BrokerError: broker_unreachable if no broker answers for ``timeout_s``.

    Attributes:
        first_ms: of each stretch that :meth:`read` has begun, the timestamp of its first record.
    """

    def __init__(self, settings: KafkaSettings, timeout_s: float = 30.0) -> None:
        self._timeout_s = timeout_s
        config = settings.confluent() | _CONFIG | {"error_cb": log_client_error}
        self._consumer = confluent_kafka.Consumer(config, logger=log)
        self.first_ms: dict[TopicPartition, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 if there is no such topic."""
        try:
            # All topics: asking for one by name lets some brokers create it.
            known = self._consumer.list_topics(timeout=self._timeout_s).topics
        except KafkaException as raised:
            raise broker_error("no broker answers", kafka_error(raised)) from raised
        return len(known[topic].partitions) if topic in known else 0

    def stretches(
        self, topic: str, partitions: Collection[int], since_ms: int, until_ms: int | None = None
    ) -> tuple[Stretch, ...]:
        """Where the records from ``since_ms`` to ``until_ms``, milliseconds since the epoch, stand now.

        With ``until_ms`` None they reach to the present end.
        """
        wanted = [TopicPartition(topic, number) for number in sorted(partitions)]
        try:
            marks = {at: self._marks(at) for at in wanted}
            starts = self._offsets(wanted, since_ms)
            ends = {} if until_ms is None else self._offsets(wanted, until_ms)
        except KafkaException as raised:
            raise broker_error(f"the offsets of {topic} are not known", kafka_error(raised)) from raised
        found = []
        for at in wanted:
            low, high = marks[at]
            start = max(low, starts.get(at, high))
            found.append(Stretch(at, start, min(high, ends.get(at, high)), cut=start == low > 0))
        return tuple(found)

    def read(self, stretches: Sequence[Stretch], keys: Collection[bytes] | None = None) -> Iterator[Portion]:
        """The committed records of the stretches, each partition's in order; only those with one of ``keys``, if given.

        Ends when all were read; records that come later are left alone.
        """
        left = {each.at: each.end for each in stretches if each.records}
        behind = {each.at: each.start for each in stretches if each.records}
        self._consumer.assign([confluent_kafka.TopicPartition(*at, offset) for at, offset in behind.items()])
        try:
            yield from self._read(left, behind, keys)
        finally:
            self._consumer.unassign()

    def _read(
        self, left: dict[TopicPartition, int], behind: dict[TopicPartition, int], keys: Collection[bytes] | None
    ) -> Iterator[Portion]:
        heard = time.monotonic()
        while left:
            messages = self._consumer.consume(_BATCH, _WAIT_S)
            if not messages and time.monotonic() - heard >= self._timeout_s:
                raise BrokerError(
                    ErrorCode.BROKER_UNREACHABLE,
                    f"nothing was read for {self._timeout_s:g} s; check that the brokers run",
                    seconds=self._timeout_s,
                )
            before = sum(behind.values())
            records = [
                as_record(message)
                for message in messages
                if self._belongs(message, left, behind) and (keys is None or message.key() in keys)
            ]
            if messages:
                yield Portion(records, sum(behind.values()) - before)
                heard = time.monotonic()  # what the caller does meanwhile is not the broker's silence

    def _belongs(self, message: Any, left: dict[TopicPartition, int], behind: dict[TopicPartition, int]) -> bool:
        """Whether it is a record of a stretch that is still read. Ends the stretches that it shows to be read."""
        error = message.error()
        at = TopicPartition(message.topic(), message.partition())
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._finish(at, left, behind)
            elif error.fatal() or is_for_good(error):
                raise broker_error(f"{at.topic} cannot be read", error)
            return False
        end = left.get(at)
        if end is None:
            return False
        offset = message.offset()
        self.first_ms.setdefault(at, message.timestamp()[1])
        if offset + 1 >= end:
            self._finish(at, left, behind)
        else:
            behind[at] = offset + 1
        return cast("bool", offset < end)

    def _finish(self, at: TopicPartition, left: dict[TopicPartition, int], behind: dict[TopicPartition, int]) -> None:
        end = left.pop(at, None)
        if end is not None:
            behind[at] = end
            self._consumer.incremental_unassign([confluent_kafka.TopicPartition(*at)])

    def _marks(self, at: TopicPartition) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(confluent_kafka.TopicPartition(*at), timeout=self._timeout_s)
        return low, high

    def _offsets(self, wanted: Sequence[TopicPartition], at_ms: int) -> dict[TopicPartition, int]:
        """Of the first record at or after the time; a partition without one is left out."""
        asked = [confluent_kafka.TopicPartition(*at, at_ms) for at in wanted]
        answers = self._consumer.offsets_for_times(asked, timeout=self._timeout_s)
        return {TopicPartition(each.topic, each.partition): each.offset for each in answers if each.offset >= 0}
