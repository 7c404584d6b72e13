"""What a process says about itself: JSON lines to a stream, metrics to Prometheus, health to whoever runs it.

``logs`` writes one JSON object a line; ``metrics`` makes the specs of :mod:`manyheads.topics.metrics` real; ``health``
collects what the parts of the process say of themselves; ``server`` answers for both over HTTP, and ``probe`` asks it.
prometheus_client is imported when the first :class:`Metrics` is made, so the SDK does not need it.
"""

from manyheads.infra.telemetry.health import Health
from manyheads.infra.telemetry.logs import configure_logging, event
from manyheads.infra.telemetry.metrics import NO_METRICS, Metrics
from manyheads.infra.telemetry.server import MetricsServer, serve_metrics

__all__ = ["NO_METRICS", "Health", "Metrics", "MetricsServer", "configure_logging", "event", "serve_metrics"]
