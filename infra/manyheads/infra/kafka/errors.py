"""What librdkafka's errors mean to the stage loop."""

import logging

from confluent_kafka import KafkaError, KafkaException

from manyheads.infra.kafka.transport import PublishFailure
from manyheads.infra.telemetry import event
from manyheads.topics.errors import BrokerError, ErrorCode

log = logging.getLogger("manyheads.infra.kafka")
"""also takes librdkafka's own lines"""

_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_REFUSED = frozenset(
    {
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_RECORD,
    }
)
_FOR_GOOD = frozenset(
    {
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,
    }
)


_LOGGED = frozenset({KafkaError._TRANSPORT, KafkaError._RESOLVE})
"""librdkafka has a log line for each, with more in it"""


def kafka_error(error: KafkaException) -> KafkaError:
    """What a KafkaException carries."""
    carried: KafkaError = error.args[0]
    return carried


def publish_failure(error: KafkaError) -> PublishFailure:
    """What a failed publication means for its record."""
    if error.code() in _TOO_LARGE:
        return PublishFailure.TOO_LARGE
    return PublishFailure.REFUSED if error.code() in _REFUSED else PublishFailure.LOST


def is_for_good(error: KafkaError) -> bool:
    """Whether trying again is of no use before somebody changes permissions or the broker."""
    return error.code() in _FOR_GOOD


def broker_error(what: str, error: KafkaError) -> BrokerError:
    """A BrokerError that says ``what`` could not be done, and Kafka's reason."""
    advice = (
        "check this worker's permissions (ACLs) and that the brokers are Kafka 4.0 or newer"
        if is_for_good(error)
        else "check that the brokers run and that bootstrap_servers names them"
    )
    return BrokerError(
        ErrorCode.BROKER_UNREACHABLE, f"{what}: {error.name()}, {error.str()}; {advice}", kafka_error=error.name()
    )


def log_client_error(error: KafkaError) -> None:
    """librdkafka's ``error_cb``: it retries by itself; the log tells why nothing moves."""
    if error.code() in _LOGGED:
        return
    event(log, "kafka_error", level=logging.WARNING, error=error.name(), reason=error.str(), fatal=error.fatal())
