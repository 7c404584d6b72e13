"""The metrics of :mod:`manyheads.topics.metrics`, counted in this process and served to Prometheus."""

from collections.abc import Mapping
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self

from manyheads.topics.errors import ErrorCode, InvalidSettings
from manyheads.topics.metrics import ALL_METRICS, MetricKind, MetricSpec

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    import prometheus_client as prometheus

Labels = Mapping[str, str]


class Metrics:
    """Every metric of the contract, in a collector registry of its own. Thread-safe.

    Labels are given by name and must be exactly those of the spec; a ValueError says which are not.
    """

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: PLC0415 - SDK lacks it

        self.registry = CollectorRegistry()
        self._counters: dict[str, prometheus.Counter] = {}
        self._gauges: dict[str, prometheus.Gauge] = {}
        self._histograms: dict[str, prometheus.Histogram] = {}
        for spec in ALL_METRICS:
            match spec.kind:
                case MetricKind.COUNTER:
                    self._counters[spec.name] = Counter(spec.name, spec.help, spec.labels, registry=self.registry)
                case MetricKind.GAUGE:
                    self._gauges[spec.name] = Gauge(spec.name, spec.help, spec.labels, registry=self.registry)
                case MetricKind.HISTOGRAM:
                    self._histograms[spec.name] = Histogram(
                        spec.name, spec.help, spec.labels, buckets=spec.buckets, registry=self.registry
                    )

    def inc(self, spec: MetricSpec, labels: Labels, by: float = 1) -> None:
        """Add ``by`` to a counter."""
        self._counters[spec.name].labels(*_values(spec, labels)).inc(by)

    def set(self, spec: MetricSpec, labels: Labels, value: float) -> None:
        """Set a gauge."""
        self._gauges[spec.name].labels(*_values(spec, labels)).set(value)

    def observe(self, spec: MetricSpec, labels: Labels, value: float) -> None:
        """Add one observation to a histogram: seconds, bytes or a count, as the spec says."""
        self._histograms[spec.name].labels(*_values(spec, labels)).observe(value)


class _NoMetrics(Metrics):
    """Counts nothing and costs a call."""

    def __init__(self) -> None:
        pass

    def inc(self, spec: MetricSpec, labels: Labels, by: float = 1) -> None:
        pass

    def set(self, spec: MetricSpec, labels: Labels, value: float) -> None:
        pass

    def observe(self, spec: MetricSpec, labels: Labels, value: float) -> None:
        pass


NO_METRICS: Metrics = _NoMetrics()
"""For a process that nobody scrapes."""


def _values(spec: MetricSpec, labels: Labels) -> tuple[str, ...]:
    values = tuple([labels[name] for name in spec.labels if name in labels])
    if len(values) != len(spec.labels) or len(labels) != len(spec.labels):
        raise ValueError(f"{spec.name} has the labels {spec.labels}, not {tuple(labels)}")
    return values


class MetricsServer:
    """An HTTP server that answers ``/metrics``; a context manager."""

    def __init__(self, server: "WSGIServer", thread: Thread) -> None:
        self._server = server
        self._thread = thread

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop listening. Safe to call twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve_metrics(metrics: Metrics, port: int, host: str = "127.0.0.1") -> MetricsServer:
    """Serve ``metrics`` on ``host``; port 0 takes a free one.

    Loopback unless told otherwise: metrics name tenants' rings and loads, and have no password.

    Raises:
        InvalidSettings: the port is taken or out of range.
    """
    from prometheus_client import start_http_server  # noqa: PLC0415 - SDK lacks it

    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except (OSError, OverflowError) as error:
        raise InvalidSettings(
            ErrorCode.INVALID_SETTINGS,
            f"metrics cannot be served on {host}:{port} ({error}); choose another metrics_port, or 0 for any free one",
            setting="metrics_port",
            port=port,
        ) from error
    return MetricsServer(server, thread)
