"""Settings: where they come from, what is wrong with them, and the Kafka clients' part of them."""

from manyheads.infra.settings.kafka import KafkaSettings, SaslMechanism, SecurityProtocol
from manyheads.infra.settings.loader import ENV_PREFIX, load_settings, variable

__all__ = ["ENV_PREFIX", "KafkaSettings", "SaslMechanism", "SecurityProtocol", "load_settings", "variable"]
