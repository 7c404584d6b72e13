"""Publishing through librdkafka, and what becomes of it."""

import logging
import time
from collections.abc import Callable
from functools import partial

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from manyheads.infra.kafka.config import Config
from manyheads.infra.kafka.destinations import Destinations
from manyheads.infra.kafka.directory import TopicDirectory
from manyheads.infra.kafka.errors import broker_error, is_for_good, kafka_error, log, log_client_error, publish_failure
from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.kafka.transport import Delivery, PublishFailure
from manyheads.infra.telemetry import event

_MAX_REBUILDS = 5
_FULL_QUEUE_S = 0.05
_FULL_BYTES = 64 * 1024 * 1024
_FULL_RECORDS = 50_000
_PURGE_S = 2.0


class ConfluentPublisher:
    """An idempotent producer. A producer that broke is replaced, and what it had not written is told as LOST."""

    def __init__(self, config: Config, admin: Callable[[], AdminClient]) -> None:
        self._config = config
        self._destinations = Destinations(self._list_leaders, admin)
        self._discarding = False
        self._known: list[Delivery] = []
        self._queued_bytes = 0
        self._fatal: KafkaError | None = None
        self._rebuilds = 0
        self._producer = self._new_producer()
        self._directory = TopicDirectory(self._list_topics)

    def publish(self, outgoing: Outgoing, token: object) -> PublishFailure | None:
        if not self._directory.exists(outgoing.topic, outgoing.partition):
            return PublishFailure.REFUSED
        if not self._destinations.takes(outgoing.topic, outgoing.partition):
            return PublishFailure.REFUSED
        size = len(outgoing.value or b"")
        while True:
            try:
                self._producer.produce(
                    outgoing.topic,
                    value=outgoing.value,
                    key=outgoing.key,
                    headers=list(outgoing.headers),
                    partition=-1 if outgoing.partition is None else outgoing.partition,
                    on_delivery=partial(self._on_delivery, token, size),
                )
            except BufferError:
                self._poll(_FULL_QUEUE_S)
            except KafkaException as error:
                return self._not_queued(kafka_error(error), token)
            else:
                self._queued_bytes += size
                return None

    @property
    def full(self) -> bool:
        return self._queued_bytes >= _FULL_BYTES or len(self._producer) >= _FULL_RECORDS

    def deliveries(self, timeout_s: float) -> list[Delivery]:
        self._poll(0 if self._known else timeout_s)
        if self._fatal is not None:
            self._rebuild(self._fatal)
        known, self._known = self._known, []
        return known

    def close(self, timeout_s: float) -> None:
        self._discard()

    def _poll(self, timeout_s: float) -> None:
        try:
            self._producer.poll(timeout_s)
        except KafkaException as raised:  # a fatal error, which error_cb may not have had yet
            self._fatal = kafka_error(raised)

    def _not_queued(self, error: KafkaError, token: object) -> PublishFailure | None:
        failure = publish_failure(error)
        if failure is not PublishFailure.LOST:
            return failure
        self._known.append(Delivery(token, failure, 0.0))
        return None

    def _on_delivery(
        self, token: object, size: int, error: KafkaError | None, message: confluent_kafka.Message
    ) -> None:
        self._queued_bytes -= size
        if error is None:
            self._rebuilds = 0
            self._known.append(Delivery(token, None, message.latency() or 0.0))
        else:
            failure = publish_failure(error)
            if failure is PublishFailure.LOST and not self._discarding:
                self._destinations.lost(error)
            self._known.append(Delivery(token, failure, 0.0))

    def _on_error(self, error: KafkaError) -> None:
        log_client_error(error)
        if error.fatal() or error.code() == KafkaError._FATAL or is_for_good(error):
            self._fatal = error

    def _new_producer(self) -> confluent_kafka.Producer:
        return confluent_kafka.Producer(self._config | {"error_cb": self._on_error}, logger=log)

    def _rebuild(self, reason: KafkaError) -> None:
        self._rebuilds += 1
        if self._rebuilds > _MAX_REBUILDS:
            raise broker_error(f"Kafka broke off with this worker's producer {self._rebuilds} times in a row", reason)
        event(log, "producer_rebuilt", level=logging.WARNING, error=reason.name(), reason=reason.str())
        self._replace_producer()

    def _replace_producer(self) -> None:
        self._discard()
        self._fatal = None
        self._queued_bytes = 0
        self._producer = self._new_producer()

    def _discard(self) -> None:
        """Let go of the producer; what it holds is told as LOST."""
        self._discarding = True
        self._producer.purge()
        until = time.monotonic() + _PURGE_S
        while len(self._producer) and time.monotonic() < until:
            self._poll(_FULL_QUEUE_S)
        self._discarding = False

    def _list_topics(self, timeout_s: float) -> dict[str, int]:
        return {name: len(partitions) for name, partitions in self._list_leaders(timeout_s).items()}

    def _list_leaders(self, timeout_s: float) -> dict[str, dict[int, int]]:
        topics = self._producer.list_topics(timeout=timeout_s).topics
        return {
            name: {number: each.leader for number, each in topic.partitions.items()} for name, topic in topics.items()
        }
