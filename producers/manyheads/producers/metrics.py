"""A client's metrics: what it tells, and an adapter for prometheus_client, which is no dependency of the SDK."""

from typing import TYPE_CHECKING, Protocol

from manyheads.topics.metrics import CLIENT_IN_FLIGHT, CLIENT_METRICS, CLIENT_REQUEST_SECONDS, CLIENT_REQUESTS
from manyheads.topics.names import Lane, RingName

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class ClientMetrics(Protocol):
    """What a client tells of its calls. Called on its event loop, once each for every call: be quick."""

    def began(self, ring: RingName, lane: Lane) -> None:
        """A call was let in, and waits for its outcome."""

    def ended(self, ring: RingName, lane: Lane, outcome: str, seconds: float) -> None:
        """A call has its outcome, ``seconds`` after it was made: ``ok``, an error code, or ``cancelled``."""


class PrometheusMetrics:
    """The :data:`manyheads.topics.metrics.CLIENT_METRICS` in a registry of prometheus_client.

    Make one, and give it to all clients of the process.
    """

    def __init__(self, registry: "CollectorRegistry | None" = None) -> None:
        """Metrics in ``registry``; None takes prometheus_client's own, which its exporters serve.

        Raises:
            ImportError: prometheus_client is not installed.
            ValueError: the registry has these metrics already.
        """
        from prometheus_client import REGISTRY  # noqa: PLC0415 - no dependency of the SDK

        from manyheads.infra.telemetry import Metrics  # noqa: PLC0415

        self._metrics = Metrics(CLIENT_METRICS, registry or REGISTRY)

    def began(self, ring: RingName, lane: Lane) -> None:
        """See :class:`ClientMetrics`."""
        self._metrics.add(CLIENT_IN_FLIGHT, {"ring": ring, "lane": lane.value}, 1)

    def ended(self, ring: RingName, lane: Lane, outcome: str, seconds: float) -> None:
        """See :class:`ClientMetrics`."""
        labels = {"ring": ring, "lane": lane.value}
        self._metrics.add(CLIENT_IN_FLIGHT, labels, -1)
        self._metrics.inc(CLIENT_REQUESTS, {**labels, "outcome": outcome})
        self._metrics.observe(CLIENT_REQUEST_SECONDS, labels, seconds)
