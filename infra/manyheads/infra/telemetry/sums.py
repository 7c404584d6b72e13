"""What adds up: over the records of an interval in a worker; over reports and buckets of time where they are read."""

from collections import Counter
from dataclasses import dataclass, field

from manyheads.topics.sketch import Sketch
from manyheads.topics.telemetry import LaneReport


@dataclass(slots=True)
class LaneSums:
    """What one or several lanes did; the fields are those of :class:`LaneReport`. Durations are milliseconds."""

    outcomes: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    tokens: int = 0
    queue: Sketch = field(default_factory=Sketch)
    compute: Sketch = field(default_factory=Sketch)
    publish: Sketch = field(default_factory=Sketch)
    total: Sketch = field(default_factory=Sketch)

    def add(self, other: "LaneReport | LaneSums") -> None:
        """Count these in."""
        self.outcomes.update(other.outcomes)
        self.dead_letters.update(other.dead_letters)
        self.batches += other.batches
        self.tokens += other.tokens
        self.queue.merge(other.queue)
        self.compute.merge(other.compute)
        self.publish.merge(other.publish)
        self.total.merge(other.total)


@dataclass(slots=True)
class TenantSums:
    """One tenant's requests that were answered."""

    requests: int = 0
    errors: int = 0
    """of the requests, those that were answered with an error"""
    total: Sketch = field(default_factory=Sketch)
    """from the request's own timestamp to its answer, milliseconds"""

    def add(self, requests: int, errors: int, total: Sketch | None) -> None:
        """Count these in; ``total`` is None where it is not known."""
        self.requests += requests
        self.errors += errors
        if total is not None:
            self.total.merge(total)

    def take_away(self, other: "TenantSums") -> None:
        """What was added before."""
        self.requests -= other.requests
        self.errors -= other.errors
        self.total.take_away(other.total)
