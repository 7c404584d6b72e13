"""Settings of a command: the environment, and what its options say over it."""

from typing import TYPE_CHECKING

from manyheads.infra.settings import KafkaSettings, load_settings

if TYPE_CHECKING:
    from manyheads.infra.store import ModelStore, StoreSettings


def kafka_settings(bootstrap_servers: str | None) -> KafkaSettings:
    """How to reach Kafka. Raises InvalidSettings."""
    return load_settings(KafkaSettings, **_given(bootstrap_servers=bootstrap_servers))


def model_store(url: str | None) -> "ModelStore":
    """The model store. Raises InvalidSettings."""
    from manyheads.infra.store import ModelStore

    settings = store_settings(url)
    return ModelStore(settings.store_url, settings.store_cache_dir)


def store_settings(url: str | None) -> "StoreSettings":
    """Where the model store is. Raises InvalidSettings."""
    from manyheads.infra.store import StoreSettings

    return load_settings(StoreSettings, **_given(store_url=url))


def _given(**options: str | None) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}
