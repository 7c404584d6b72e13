"""The messages of Kafka's protocol that kafka-python has not: describing groups of the consumer protocol (KIP-848)."""

from kafka.protocol.api_message import ApiMessage


class ConsumerGroupDescribeRequest(ApiMessage, load_json=__package__):  # type: ignore[misc, call-arg]
    """Asks a group's coordinator for its members and what each of them has."""


class ConsumerGroupDescribeResponse(ApiMessage, load_json=__package__):  # type: ignore[misc, call-arg]
    """The answer."""
