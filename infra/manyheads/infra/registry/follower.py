"""Follow the registry topic: a thread that reads it and publishes a new snapshot for every batch of records."""

import logging
from collections.abc import Callable, Iterator, Mapping
from threading import Condition, Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from manyheads.infra.registry.connection import RECONNECT_MAX_MS, broker_error, broker_unreachable, topics_missing
from manyheads.infra.registry.snapshot import RegistrySnapshot
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.telemetry import NO_METRICS, Health, Metrics, event
from manyheads.topics.errors import BrokerError, ErrorCode, InternalError, ManyheadsError, WireError
from manyheads.topics.metrics import REGISTRY_BEHIND, REGISTRY_GENERATION, REGISTRY_SKIPPED
from manyheads.topics.names import REGISTRY_TOPIC
from manyheads.topics.registry import RegistryRecord, decode_registry_record

_log = logging.getLogger(__name__)

_POLL_S = 0.1
"""How long a stop waits at most for the thread."""
_BATCH = 1_000
"""Records folded into one new snapshot at most."""

Changes = dict[bytes, RegistryRecord | None]


class RegistryFollower:
    """A :class:`RegistryReader` that keeps up with the registry topic; a context manager.

    It reads all partitions from the beginning, outside any consumer group, and goes on through broker restarts. What
    is no record of ours is logged with its code, counted, and otherwise ignored.

    Args:
        settings: how to reach Kafka.
        metrics: told how much it has read, and how much it has not.
        health: told as the part ``registry`` whether it has read all there was at the start, and follows.
    """

    def __init__(self, settings: KafkaSettings, metrics: Metrics = NO_METRICS, health: Health | None = None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health or Health()
        self._health.set("registry", False, "it is being read")
        self.behind: int | None = None
        """records that were not read yet, as far as the last answer of the broker tells; None before the first"""
        self._read: dict[int, int] = {}
        """by partition, the offset after the last record that was read"""
        self._snapshot = RegistrySnapshot()
        self._failure: ManyheadsError | None = None
        self._changed = Condition()
        self._loaded = False
        self._stopping = Event()
        self._thread: Thread | None = None

    def start(self, timeout_s: float = 30.0) -> None:
        """Read the registry to its present end; return once :attr:`snapshot` holds it.

        Raises:
            BrokerError: broker_unreachable, or topics_missing; nothing is left running.
        """
        if self._thread is not None:
            raise RuntimeError("a RegistryFollower is started once")
        deadline = monotonic() + timeout_s
        consumer = self._connect(timeout_s)
        self._thread = Thread(target=self._run, args=(consumer,), name="registry-follower")
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._loaded or self._failure, max(0.0, deadline - monotonic()))
        if not self._loaded:
            failure = self._failure
            self.close()
            raise failure or broker_unreachable(self._settings, timeout_s, "the registry was not read to its end")

    def close(self) -> None:
        """Stop following; the last snapshot stays readable. Safe to call twice."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        if self._thread is None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def snapshot(self) -> RegistrySnapshot:
        """The latest snapshot.

        Raises:
            InternalError: the thread has failed, so that this would grow older unnoticed.
        """
        if self._failure is not None:
            raise self._failure
        return self._snapshot

    def wait_until(self, condition: Callable[[RegistrySnapshot], object], timeout_s: float) -> bool:
        """Wait until a snapshot meets ``condition``; False if none did within ``timeout_s``. Raises InternalError."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: condition(self.snapshot), timeout_s))

    # --- the calling thread, before the other one runs ---

    def _connect(self, timeout_s: float) -> Consumer:
        config: dict[str, object] = {
            **self._settings.confluent(),
            "reconnect.backoff.max.ms": RECONNECT_MAX_MS,
            # librdkafka wants a group's name; without subscribe and commit none is ever joined.
            "group.id": "manyheads-registry-unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "fetch.queue.backoff.ms": 10,
        }
        consumer = Consumer(config, logger=_log)
        try:
            metadata = consumer.list_topics(REGISTRY_TOPIC, timeout=timeout_s).topics[REGISTRY_TOPIC]
            if metadata.error is not None:
                raise broker_error(self._settings, metadata.error, timeout_s)
            if not metadata.partitions:
                raise topics_missing()
            consumer.assign([TopicPartition(REGISTRY_TOPIC, n, OFFSET_BEGINNING) for n in metadata.partitions])
        except KafkaException as error:
            consumer.close()
            raise broker_error(self._settings, error.args[0], timeout_s) from error
        except BrokerError:
            consumer.close()
            raise
        return consumer

    # --- the follower's own thread ---

    def _run(self, consumer: Consumer) -> None:
        try:
            self._follow(consumer)
        except Exception as error:
            event(_log, "registry_follower_failed", level=logging.ERROR, exc_info=True)
            with self._changed:
                self._failure = InternalError(
                    ErrorCode.WORKER_HALTED, f"the registry is no longer followed ({error}); restart this process"
                )
                self._changed.notify_all()
            self._health.set("registry", False, f"it is no longer followed ({error})")
        finally:
            consumer.close()

    def _follow(self, consumer: Consumer) -> None:
        unread = {assigned.partition for assigned in consumer.assignment()}
        changes: Changes = {}
        while not self._stopping.is_set():
            for message in _batch(consumer):
                error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
                if error is None:
                    self._take(message, changes)
                    self._read[partition] = offset + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(partition)
                    self._read[partition] = offset
                else:
                    event(_log, "registry_fetch_failed", level=logging.WARNING, error=error.str())
            ends = _ends(consumer)
            self._measure(ends)
            # Kafka tells of an end only when it has waited half a second for more.
            unread -= {partition for partition, end in ends.items() if 0 <= end <= self._read.get(partition, -1)}
            # Nobody sees the registry before it is whole, so the first snapshot is built once.
            if not unread:
                self._publish(changes)
                changes = {}

    def _measure(self, ends: Mapping[int, int]) -> None:
        if min(ends.values()) < 0:
            return  # the broker has not answered yet
        behind = sum(max(0, end - self._read.get(partition, 0)) for partition, end in ends.items())
        if behind != self.behind:
            self.behind = behind
            self._metrics.set(REGISTRY_BEHIND, {}, behind)
            if not self._loaded:
                self._health.set("registry", False, f"it is being read: {behind:,} records to go")

    def _take(self, message: Message, changes: Changes) -> None:
        key, value = message.key(), message.value()
        try:
            if value is None and key is not None:
                changes[key] = None
            else:
                record = decode_registry_record(key, value)
                changes[record.key] = record
        except WireError as error:
            self._metrics.inc(REGISTRY_SKIPPED, {"code": error.code})
            event(
                _log,
                "registry_record_skipped",
                level=logging.WARNING,
                partition=message.partition(),
                offset=message.offset(),
                error=error,
            )

    def _publish(self, changes: Changes) -> None:
        snapshot = self._snapshot.with_changes(changes)
        if self._loaded and snapshot is self._snapshot:
            return
        self._metrics.set(REGISTRY_GENERATION, {}, snapshot.generation)
        self._health.set("registry", True)
        with self._changed:
            self._snapshot = snapshot
            self._loaded = True
            self._changed.notify_all()


def _ends(consumer: Consumer) -> dict[int, int]:
    """By partition, where it ended when something was last fetched of it; negative before that."""
    return {each.partition: consumer.get_watermark_offsets(each, cached=True)[1] for each in consumer.assignment()}


def _batch(consumer: Consumer) -> Iterator[Message]:
    """What has arrived: waits for one message, then takes the others that are there, without waiting."""
    first = consumer.poll(_POLL_S)
    if first is not None:
        yield first
        yield from consumer.consume(_BATCH, timeout=0)
