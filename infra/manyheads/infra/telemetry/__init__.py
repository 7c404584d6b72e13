"""What a process says about itself: JSON lines to a stream, metrics to Prometheus.

``logs`` writes one JSON object a line; ``metrics`` makes the specs of :mod:`manyheads.topics.metrics` real.
prometheus_client is imported when the first :class:`Metrics` is made, so the SDK does not need it.
"""

from manyheads.infra.telemetry.logs import configure_logging, event
from manyheads.infra.telemetry.metrics import NO_METRICS, Metrics, MetricsServer, serve_metrics

__all__ = ["NO_METRICS", "Metrics", "MetricsServer", "configure_logging", "event", "serve_metrics"]
