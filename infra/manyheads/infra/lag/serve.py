"""The exporter's loop: measure, keep, serve."""

import logging
import re
import time
from collections.abc import Callable
from threading import Event

from manyheads.infra.lag.exporter import LagMetrics
from manyheads.infra.lag.monitor import LagMonitor
from manyheads.infra.lag.settings import LagSettings
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.telemetry import event
from manyheads.infra.telemetry.health import Health
from manyheads.infra.telemetry.server import serve_metrics

_log = logging.getLogger("manyheads.infra.lag")
_KAFKA = "kafka"


def serve_lag(
    settings: KafkaSettings, lag: LagSettings, stop: Event, serving: Callable[[int], None] = lambda port: None
) -> None:
    """Measure and serve until ``stop`` is set.

    ``/healthz`` says whether the loop turns, ``/readyz`` also whether Kafka answers.

    Args:
        settings: how to reach Kafka.
        lag: what to measure, how often, and where to serve it.
        stop: set by whoever wants it to return; it does within a round.
        serving: called with the port once it listens.

    Raises:
        InvalidSettings: the port is taken, or a certificate cannot be read.
    """
    metrics = LagMetrics(lag.cluster_name)
    # A round may take twice its time before the loop counts as stuck.
    health = Health(stuck_after_s=60.0 + 2 * lag.lag_interval_s)
    health.set(_KAFKA, ready=False, detail="the first round is under way")
    monitor = LagMonitor(settings, re.compile(lag.lag_groups), rules=lag.rules())
    with serve_metrics(metrics, lag.metrics_port, lag.metrics_host, health) as server, monitor:
        event(_log, "lag_serving", host=lag.metrics_host, port=server.port, interval_s=lag.lag_interval_s)
        serving(server.port)
        problem: str | None = None
        while not stop.is_set():
            began = time.monotonic()
            snapshot = monitor.poll()
            seconds = time.monotonic() - began
            metrics.update(snapshot, seconds)
            health.beat()
            health.set(_KAFKA, snapshot.broker is None, snapshot.broker or f"answered in {seconds:.2f} s")
            if (snapshot.broker is None) != (problem is None):
                problem = snapshot.broker
                _tell(problem)
            stop.wait(max(0.0, lag.lag_interval_s - seconds))


def _tell(problem: str | None) -> None:
    if problem is None:
        event(_log, "kafka_back")
    else:
        event(_log, "kafka_away", level=logging.WARNING, reason=problem)
