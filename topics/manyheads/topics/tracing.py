"""Every span, once: its name and its attributes. ``manyheads.infra.stage.tracing`` and the SDK make them real.

Names are those of OpenTelemetry's conventions for messaging, version 1.44, and ``manyheads.*`` where these have none.
The conventions are not stable yet: a later version is taken over here and nowhere else.
"""

SCOPE = "manyheads"
"""the instrumentation scope of every span"""
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

SYSTEM = "messaging.system"
KAFKA = "kafka"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
"""the topic"""
PARTITION = "messaging.destination.partition.id"
"""a string"""
OFFSET = "messaging.kafka.offset"
GROUP = "messaging.consumer.group.name"
CONVERSATION = "messaging.message.conversation_id"
"""the correlation id, as hexadecimal digits"""
BATCH_RECORDS = "messaging.batch.message_count"
ERROR_TYPE = "error.type"
"""an error code; only where there is an error"""

STAGE = "manyheads.stage"
RING = "manyheads.ring"
LANE = "manyheads.lane"
TENANT = "manyheads.tenant"
TOKENS = "manyheads.tokens"
"""that the encoder read"""

SEND, PROCESS, RECEIVE = "send", "process", "receive"


def message_span(operation: str, topic: str) -> str:
    """The name of a span for one message, such as ``process nlu.en.requests``."""
    return f"{operation} {topic}"


def message_attributes(operation: str, topic: str) -> dict[str, str]:
    """What every span for messages of a topic has."""
    return {SYSTEM: KAFKA, OPERATION: operation, OPERATION_TYPE: operation, DESTINATION: topic}


def compute_span(stage: str) -> str:
    """The name of the span of one batch's compute, such as ``compute encoder``."""
    return f"compute {stage}"
