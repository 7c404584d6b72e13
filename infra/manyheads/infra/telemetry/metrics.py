"""The metrics of :mod:`manyheads.topics.metrics`, counted in this process."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from manyheads.topics.metrics import ALL_METRICS, MetricKind, MetricSpec

if TYPE_CHECKING:
    import prometheus_client as prometheus

Labels = Mapping[str, str]
_M = TypeVar("_M", "prometheus.Counter", "prometheus.Gauge", "prometheus.Histogram")


class Metrics:
    """Metrics of the contract in a collector registry. Thread-safe.

    Labels are given by name and must be exactly those of the spec; a ValueError says which are not.

    Args:
        specs: which metrics.
        registry: where; None makes a registry with these and the process's own.
    """

    def __init__(
        self, specs: Sequence[MetricSpec] = ALL_METRICS, registry: "prometheus.CollectorRegistry | None" = None
    ) -> None:
        from prometheus_client import (  # noqa: PLC0415 - SDK lacks it
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            ProcessCollector,
        )

        if registry is None:
            registry = CollectorRegistry()
            ProcessCollector(registry=registry)
        self.registry = registry
        self._counters: dict[str, prometheus.Counter] = {}
        self._gauges: dict[str, prometheus.Gauge] = {}
        self._histograms: dict[str, prometheus.Histogram] = {}
        for spec in specs:
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
        _child(self._counters[spec.name], spec, labels).inc(by)

    def set(self, spec: MetricSpec, labels: Labels, value: float) -> None:
        """Set a gauge."""
        _child(self._gauges[spec.name], spec, labels).set(value)

    def add(self, spec: MetricSpec, labels: Labels, by: float) -> None:
        """Add ``by``, which may be negative, to a gauge."""
        _child(self._gauges[spec.name], spec, labels).inc(by)

    def observe(self, spec: MetricSpec, labels: Labels, value: float) -> None:
        """Add one observation to a histogram: seconds, bytes or a count, as the spec says."""
        _child(self._histograms[spec.name], spec, labels).observe(value)

    def observing(self, spec: MetricSpec, labels: Labels) -> Callable[[float], None]:
        """:meth:`observe` for one set of labels, at half the cost: for what happens with each record."""
        return _child(self._histograms[spec.name], spec, labels).observe


class _NoMetrics(Metrics):
    """Counts nothing and costs a call."""

    def __init__(self) -> None:
        pass

    def inc(self, spec: MetricSpec, labels: Labels, by: float = 1) -> None:
        pass

    def set(self, spec: MetricSpec, labels: Labels, value: float) -> None:
        pass

    def add(self, spec: MetricSpec, labels: Labels, by: float) -> None:
        pass

    def observe(self, spec: MetricSpec, labels: Labels, value: float) -> None:
        pass

    def observing(self, spec: MetricSpec, labels: Labels) -> Callable[[float], None]:
        return _ignored


def _ignored(_value: float) -> None:
    pass


NO_METRICS: Metrics = _NoMetrics()
"""For a process that nobody scrapes."""


def _child(metric: _M, spec: MetricSpec, labels: Labels) -> _M:
    values = tuple([labels[name] for name in spec.labels if name in labels])
    if len(values) != len(spec.labels) or len(labels) != len(spec.labels):
        raise ValueError(f"{spec.name} has the labels {spec.labels}, not {tuple(labels)}")
    return metric.labels(*values) if values else metric
