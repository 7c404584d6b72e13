"""What a worker opens before it serves, and closes after."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from manyheads.infra.registry.follower import RegistryFollower
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.stage.observer import StageObserver
from manyheads.infra.stage.options import StageOptions
from manyheads.infra.store import ModelStore, StoreSettings
from manyheads.infra.telemetry import NO_METRICS, Metrics, event, serve_metrics
from manyheads.infra.telemetry.report_publisher import ReportPublisher, worker_identity
from manyheads.infra.telemetry.tracing import worker_tracer
from manyheads.infra.worker.settings import WorkerSettings
from manyheads.topics.metrics import BUILD_INFO
from manyheads.topics.names import CellName, RingName

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from manyheads.infra.stage.tracing import StageTracing

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Role:
    """What a worker is for."""

    stage: str
    """``encoder`` or ``head``"""
    ring: RingName
    cell: CellName | None = None


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """Open while the worker runs."""

    options: StageOptions
    observer: StageObserver
    """what it is told goes to metrics, health and the worker's reports"""
    models: ModelStore
    registry: RegistryFollower
    """started: it has read the registry to its end"""


@contextmanager
def open_parts(
    role: Role, settings: WorkerSettings, kafka: KafkaSettings, store: StoreSettings
) -> Iterator[WorkerParts]:
    """The parts, as the settings say.

    Raises:
        InvalidSettings: the store cannot be opened, or the metrics port is taken.
        BrokerError: Kafka cannot be reached, or has no registry topic.
    """
    options = settings.stage_options()
    with ExitStack() as parts:
        metrics = NO_METRICS if settings.metrics_port is None else Metrics()
        tracer = parts.enter_context(worker_tracer(f"manyheads-{role.stage}-worker", options.instance))
        observer = StageObserver(metrics, tracing=_tracing(tracer))
        observer.metrics.set(BUILD_INFO, {"version": version("manyheads")}, 1)
        observer.health.set("worker", False, "it is starting")
        observer.health.set("registry", False, "it is being read")
        if settings.metrics_port is not None:
            host = settings.metrics_host
            server = parts.enter_context(serve_metrics(observer.metrics, settings.metrics_port, host, observer.health))
            event(_log, "metrics_served", host=host, port=server.port)
        who = worker_identity(options.instance, role.stage, role.ring, role.cell)
        parts.enter_context(ReportPublisher(kafka, who, observer, observer.metrics))
        models = ModelStore(store.store_url, store.store_cache_dir)
        registry = observer.registry = RegistryFollower(kafka, observer.metrics, observer.health)
        registry.start(settings.registry_timeout_s)
        parts.callback(registry.close)
        yield WorkerParts(options, observer, models, registry)


def _tracing(tracer: "Tracer | None") -> "StageTracing | None":
    if tracer is None:
        return None
    from manyheads.infra.stage.tracing import StageTracing  # noqa: PLC0415 - not without OpenTelemetry

    return StageTracing(tracer)
