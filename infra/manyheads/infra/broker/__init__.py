"""The embedded broker: a real Apache Kafka, started and stopped from Python."""

from manyheads.infra.broker.embedded import EmbeddedKafka
from manyheads.infra.broker.probe import Login

__all__ = ["EmbeddedKafka", "Login"]
