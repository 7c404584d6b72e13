"""The tracer of a worker, as the ``OTEL_*`` variables configure it; without them OpenTelemetry is not imported."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from threading import Thread
from typing import TYPE_CHECKING

from manyheads.infra.telemetry.logs import event
from manyheads.topics.tracing import SCHEMA_URL, SCOPE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

_log = logging.getLogger(__name__)

_FAREWELL_S = 2.0
_OTLP = "otlp"
_OTLP_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


def exporters_in(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the exporters that the variables ask for, as OpenTelemetry registers them; empty for no tracing.

    Unlike in OpenTelemetry's own launcher, silence means none: OTLP must be asked for, by ``OTEL_TRACES_EXPORTER`` or
    by an endpoint.
    """

    def value(name: str) -> str:
        return environment.get(name, "").strip()

    if value("OTEL_SDK_DISABLED").lower() == "true":
        return ()
    asked = value("OTEL_TRACES_EXPORTER")
    if not asked and (value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or value("OTEL_EXPORTER_OTLP_ENDPOINT")):
        asked = _OTLP
    protocol = value("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or value("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    otlp = _OTLP_PROTOCOLS.get(protocol, f"otlp over {protocol}")
    names = [name for each in asked.split(",") if (name := each.strip()) not in ("", "none")]
    return tuple(otlp if name == _OTLP else name for name in names)


@contextmanager
def worker_tracer(service: str, instance: str) -> Iterator["Tracer | None"]:
    """The tracer of a worker process; None where it is not to trace. What it made is exported at the end.

    The provider is that of ``opentelemetry-instrument`` if the process runs under it, else one made of the ``OTEL_*``
    variables. A worker that cannot trace says so once, and serves.

    Args:
        service: the ``service.name``, unless the variables name one.
        instance: the ``service.instance.id``, unless they do.
    """
    provider = _launchers_provider()
    if provider is not None:
        yield _tracer(provider)
        return
    names = exporters_in(os.environ)
    if not names:
        yield None
        return
    try:
        provider = _provider(names, {"service.name": service, "service.instance.id": instance})
    except (ImportError, LookupError) as error:
        event(
            _log,
            "tracing_unavailable",
            level=logging.WARNING,
            reason=str(error),
            advice="the worker serves on, without traces; install them with: pip install 'manyheads[otel]'",
        )
        yield None
        return
    event(_log, "tracing", exporters=names)
    try:
        yield _tracer(provider)
    finally:
        # A collector that is away must not hold up the end for as long as its exporter tries.
        closing = Thread(target=provider.shutdown, name="tracing-farewell", daemon=True)
        closing.start()
        closing.join(_FAREWELL_S)


def _launchers_provider() -> "TracerProvider | None":
    """The provider that was set before the worker's own code ran."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.trace import get_tracer_provider  # noqa: PLC0415

    provider = get_tracer_provider()
    return provider if isinstance(provider, TracerProvider) else None


def _provider(exporters: tuple[str, ...], defaults: Mapping[str, str]) -> "TracerProvider":
    """Raises ImportError without OpenTelemetry's SDK, LookupError without one of the exporters."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    named = OTELResourceDetector().detect().attributes
    resource = Resource.create({name: value for name, value in defaults.items() if name not in named})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in exporters:
        (*_, found) = (None, *entry_points(group="opentelemetry_traces_exporter", name=name))
        if found is None:
            raise LookupError(f"no exporter of spans named {name} is installed")
        provider.add_span_processor(BatchSpanProcessor(found.load()()))
    return provider


def _tracer(provider: "TracerProvider") -> "Tracer":
    return provider.get_tracer(SCOPE, version("manyheads"), SCHEMA_URL)
