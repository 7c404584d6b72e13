"""How a client behaves, whatever it is linked to."""

from dataclasses import dataclass
from typing import Self

from manyheads.producers.deadline import checked_timeout
from manyheads.producers.metrics import ClientMetrics
from manyheads.producers.options import ClientOptions, checked_count
from manyheads.topics import names
from manyheads.topics.names import Lane, RingName


@dataclass(frozen=True, slots=True)
class Setup:
    """The arguments of a client, checked."""

    ring: RingName
    lane: Lane
    timeout: float
    """seconds"""
    max_in_flight: int
    options: ClientOptions
    metrics: ClientMetrics | None = None

    @classmethod
    def checked(
        cls,
        *,
        ring: str,
        lane: Lane,
        timeout: float,
        max_in_flight: int,
        options: ClientOptions,
        metrics: ClientMetrics | None = None,
    ) -> Self:
        """Raises InvalidRequest: invalid_name or invalid_argument."""
        return cls(
            names.ring(ring),
            Lane(lane),
            checked_timeout(timeout),
            checked_count("max_in_flight", max_in_flight),
            options,
            metrics,
        )
