"""Typed errors for what librdkafka reports of the registry topic."""

from confluent_kafka import KafkaError

from manyheads.infra.settings import KafkaSettings
from manyheads.topics.errors import BrokerError, ErrorCode
from manyheads.topics.names import REGISTRY_TOPIC

RECONNECT_MAX_MS = 1_000
"""librdkafka's default of 10 s would leave us behind long after a broker is back."""

_NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})


def broker_error(settings: KafkaSettings, error: KafkaError, timeout_s: float) -> BrokerError:
    """The exception for a failed call that had ``timeout_s`` seconds."""
    return topics_missing() if error.code() in _NO_TOPIC else broker_unreachable(settings, timeout_s, error.str())


def broker_unreachable(settings: KafkaSettings, timeout_s: float, reason: str) -> BrokerError:
    return BrokerError(
        ErrorCode.BROKER_UNREACHABLE,
        f"no answer from Kafka at {settings.bootstrap_servers} within {timeout_s:g} s ({reason}); check that it runs, "
        "that the address can be reached from here, and the security settings",
        bootstrap_servers=settings.bootstrap_servers,
        timeout_s=timeout_s,
    )


def topics_missing() -> BrokerError:
    return BrokerError(
        ErrorCode.TOPICS_MISSING,
        f"Kafka has no topic {REGISTRY_TOPIC}; create the pipeline's topics with `manyheads topics create`",
        topic=REGISTRY_TOPIC,
    )
