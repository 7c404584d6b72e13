"""Settings: where they come from, what is wrong with them, and the Kafka clients' part of them."""

from manyheads.infra.settings.kafka import KafkaSettings, SaslMechanism, SecurityProtocol
from manyheads.infra.settings.loader import is_secret, load_settings
from manyheads.infra.settings.sources import (
    CONFIG_VARIABLE,
    ENV_PREFIX,
    Origin,
    Settings,
    SettingsFile,
    from_environment,
    origin_of,
    variable,
)

__all__ = [
    "CONFIG_VARIABLE",
    "ENV_PREFIX",
    "KafkaSettings",
    "Origin",
    "SaslMechanism",
    "SecurityProtocol",
    "Settings",
    "SettingsFile",
    "from_environment",
    "is_secret",
    "load_settings",
    "origin_of",
    "variable",
]
