"""What a worker opens before it serves, and closes after."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from manyheads.infra.registry.follower import RegistryFollower
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store import ModelStore, StoreSettings
from manyheads.infra.telemetry import NO_METRICS, Health, Metrics, event, serve_metrics
from manyheads.infra.worker.settings import WorkerSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """Open while the worker runs."""

    metrics: Metrics
    health: Health
    models: ModelStore
    registry: RegistryFollower
    """started: it has read the registry to its end"""


@contextmanager
def open_parts(settings: WorkerSettings, kafka: KafkaSettings, store: StoreSettings) -> Iterator[WorkerParts]:
    """The parts, as the settings say.

    Raises:
        InvalidSettings: the store cannot be opened, or the metrics port is taken.
        BrokerError: Kafka cannot be reached, or has no registry topic.
    """
    with ExitStack() as parts:
        metrics, health = NO_METRICS, Health()
        health.set("worker", False, "it is starting")
        if settings.metrics_port is not None:
            metrics = Metrics()
            host = settings.metrics_host
            server = parts.enter_context(serve_metrics(metrics, settings.metrics_port, host, health))
            event(_log, "metrics_served", host=host, port=server.port)
        health.set("registry", False, "it is being read")
        models = ModelStore(store.store_url, store.store_cache_dir)
        registry = RegistryFollower(kafka, metrics)
        registry.start(settings.registry_timeout_s)
        parts.callback(registry.close)
        health.set("registry", True)
        yield WorkerParts(metrics, health, models, registry)
