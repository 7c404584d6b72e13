"""Write the registry: records and tombstones, acknowledged by every in-sync replica."""

import logging
from collections.abc import Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from manyheads.infra.registry.connection import RECONNECT_MAX_MS, broker_error, broker_unreachable, topics_missing
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.names import REGISTRY_TOPIC
from manyheads.topics.registry import RegistryRecord

_log = logging.getLogger(__name__)

_GRACE_S = 1.0


class RegistryWriter:
    """Puts records into the registry topic and deletes them; a context manager.

    Every call returns after the broker's acknowledgement, in the order of the calls. A call that raised may have
    written some of its records: writing them all again is always right. For one thread at a time.
    """

    def __init__(self, settings: KafkaSettings, timeout_s: float = 30.0) -> None:
        """Connect on the first call.

        Args:
            settings: how to reach Kafka.
            timeout_s: how long one call may take.
        """
        self._settings = settings
        self._timeout_s = timeout_s
        self._topic_seen = False
        config: dict[str, object] = {
            **settings.confluent(),
            "reconnect.backoff.max.ms": RECONNECT_MAX_MS,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": "lz4",
            "delivery.timeout.ms": max(1, int(timeout_s * 1000)),
            # The same partition as every other client, should the topic ever have several.
            "partitioner": "murmur2_random",
        }
        self._producer = Producer(config, logger=_log)

    def put(self, *records: RegistryRecord) -> None:
        """Write the records, each in place of what has its key.

        Raises:
            BrokerError: broker_unreachable or topics_missing.
            WireError: message_too_large; nothing was written.
        """
        self._write([(record.key, record.to_bytes()) for record in records])

    def delete(self, *keys: bytes) -> None:
        """Delete what has these keys; a key that has nothing is no error.

        Raises:
            BrokerError: broker_unreachable or topics_missing.
        """
        self._write([(key, None) for key in keys])

    def close(self) -> None:
        """Give up what was not acknowledged. Safe to call twice."""
        self._producer.purge()
        self._producer.flush(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        deadline = monotonic() + self._timeout_s
        self._check_topic()
        errors: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                errors.append(error)

        for key, value in entries:
            self._produce(key, value, delivered, deadline)
        # librdkafka gives a record up at its delivery timeout and says so; a moment later nothing can be left.
        left = self._producer.flush(max(0.0, deadline - monotonic()) + _GRACE_S)
        if errors:
            raise broker_error(self._settings, errors[0], self._timeout_s)
        if left:
            raise broker_unreachable(self._settings, self._timeout_s, f"{left} records were not acknowledged")

    def _produce(
        self,
        key: bytes,
        value: bytes | None,
        delivered: Callable[[KafkaError | None, Message], None],
        deadline: float,
    ) -> None:
        try:
            self._producer.produce(REGISTRY_TOPIC, value, key, on_delivery=delivered)
        except BufferError:
            # The local queue is full; what is in it leaves within the delivery timeout, sent or given up.
            if self._producer.flush(max(0.0, deadline - monotonic())):
                raise broker_unreachable(self._settings, self._timeout_s, "the send queue stayed full") from None
            self._producer.produce(REGISTRY_TOPIC, value, key, on_delivery=delivered)

    def _check_topic(self) -> None:
        if self._topic_seen:
            return
        try:
            # All topics: asking for one by name lets some brokers create it, uncompacted.
            known = self._producer.list_topics(timeout=self._timeout_s).topics
        except KafkaException as error:
            raise broker_error(self._settings, error.args[0], self._timeout_s) from error
        if REGISTRY_TOPIC not in known:
            raise topics_missing()
        self._topic_seen = True
