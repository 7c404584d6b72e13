"""Kafka through confluent-kafka (librdkafka): the transport of every real worker."""

from collections.abc import Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from manyheads.infra.kafka.config import consumer_config, publisher_config, transactions_config
from manyheads.infra.kafka.consumer import ConfluentConsumer
from manyheads.infra.kafka.errors import broker_error, kafka_error, log
from manyheads.infra.kafka.publisher import ConfluentPublisher
from manyheads.infra.kafka.transactions import ConfluentTransactions
from manyheads.infra.kafka.transport import RebalanceListener
from manyheads.infra.settings.kafka import KafkaSettings


class ConfluentTransport:
    """Implements :class:`manyheads.infra.kafka.transport.Transport` for the cluster of ``settings``."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def consumer(
        self, group: str, topic: str, listener: RebalanceListener, *, prefetch_bytes: int
    ) -> ConfluentConsumer:
        config = self._settings.confluent() | consumer_config(group, prefetch_bytes)
        return ConfluentConsumer(config, topic, listener, self._count_partitions)

    def publisher(self) -> ConfluentPublisher:
        return ConfluentPublisher(self._settings.confluent() | publisher_config(), self._admin)

    def transactions(self, transactional_id: str) -> ConfluentTransactions:
        return ConfluentTransactions(self._settings.confluent() | transactions_config(transactional_id), self._admin)

    def missing_topics(self, topics: Sequence[str], timeout_s: float) -> list[str]:
        try:
            known = self._admin().list_topics(timeout=timeout_s).topics
        except KafkaException as raised:
            raise broker_error("no broker answers", kafka_error(raised)) from raised
        return [topic for topic in topics if topic not in known]

    def _count_partitions(self, topic: str, timeout_s: float) -> int:
        found = self._admin().list_topics(topic, timeout=timeout_s).topics[topic]
        return 0 if found.error is not None else len(found.partitions)

    def _admin(self) -> AdminClient:
        return AdminClient({**self._settings.confluent()}, logger=log)
