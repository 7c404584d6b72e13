"""Latencies in bounded space: a sketch that any number of others can be added to, and quantiles that are still right.

The sketch counts durations in bins whose bounds grow by 2% each, as DDSketch does: every quantile is within 1% of the
true one, whatever the distribution, also after sketches of many workers and intervals were merged.
"""

import math
from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, PlainSerializer

RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_PER_LOG = 1 / math.log(_GAMMA)
_LEAST_MS, _MOST_MS = 0.01, 1e7


def _bin_of(value_ms: float) -> int:
    return math.ceil(math.log(value_ms) * _PER_LOG)


_FIRST_BIN, _LAST_BIN = _bin_of(_LEAST_MS), _bin_of(_MOST_MS)
MAX_BINS = _LAST_BIN - _FIRST_BIN + 1
"""what bounds a sketch, however many durations it counts"""


class Sketch:
    """Counts of durations, in milliseconds. Below 10 us and above 10,000 s it keeps the bound."""

    __slots__ = ("bins",)

    def __init__(self, bins: dict[int, int] | None = None) -> None:
        self.bins: dict[int, int] = {} if bins is None else bins
        """counts by bin: bin ``k`` reaches up to ``gamma ** k``"""

    @classmethod
    def of(cls, values_ms: Iterable[float]) -> Self:
        """A sketch of these durations."""
        sketch = cls()
        for value in values_ms:
            sketch.add(value)
        return sketch

    def add(self, value_ms: float) -> None:
        """Count one duration."""
        if value_ms <= _LEAST_MS:
            index = _FIRST_BIN
        else:
            index = math.ceil(math.log(value_ms) * _PER_LOG) if value_ms < _MOST_MS else _LAST_BIN
        self.bins[index] = self.bins.get(index, 0) + 1

    def merge(self, other: "Sketch") -> None:
        """Count what ``other`` has counted too."""
        for index, count in other.bins.items():
            self.bins[index] = self.bins.get(index, 0) + count

    def take_away(self, other: "Sketch") -> None:
        """Count no longer what ``other`` has counted, which was merged into this sketch before."""
        for index, count in other.bins.items():
            left = self.bins[index] - count
            if left:
                self.bins[index] = left
            else:
                del self.bins[index]

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.bins.values())

    def quantile(self, share: float) -> float | None:
        """The duration in milliseconds that a ``share``, 0 to 1, of all do not exceed; None of an empty sketch."""
        return self.quantiles(share)[0]

    def quantiles(self, *shares: float) -> tuple[float | None, ...]:
        """Several quantiles at once."""
        total = self.count
        if not total:
            return (None,) * len(shares)
        ordered = sorted(self.bins.items())
        return tuple(_at_rank(ordered, share * (total - 1)) for share in shares)

    def to_wire(self) -> list[int]:
        """The first bin, its count, then for each further one how many bins on, and its count."""
        wire: list[int] = []
        before = 0
        for index, count in sorted(self.bins.items()):
            wire += (index - before, count)
            before = index
        return wire

    @classmethod
    def from_wire(cls, wire: object) -> Self:
        """The sketch of :meth:`to_wire`. Raises ValueError."""
        if not isinstance(wire, list) or len(wire) % 2 or not all(type(each) is int for each in wire):
            raise ValueError("a sketch is a list of bins and counts")
        bins: dict[int, int] = {}
        index = 0
        for step, count in zip(wire[::2], wire[1::2], strict=True):
            index += step
            if not _FIRST_BIN <= index <= _LAST_BIN or index in bins or not 0 < count < 1 << 48:
                raise ValueError(f"a sketch has no bin {index} with a count of {count}")
            bins[index] = count
        return cls(bins)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and self.bins == other.bins

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ["-" if each is None else f"{each:.3g}" for each in self.quantiles(0.5, 0.99)]
        return f"<Sketch of {self.count}: p50 {shown[0]} ms, p99 {shown[1]} ms>"


def _at_rank(ordered: list[tuple[int, int]], rank: float) -> float:
    passed = 0
    for index, count in ordered:
        passed += count
        if passed > rank:
            return float(2 * _GAMMA**index / (_GAMMA + 1))
    raise AssertionError(f"rank {rank} is beyond {passed} durations")


def _from_wire(value: Any) -> Any:
    return value if isinstance(value, Sketch) else Sketch.from_wire(value)


SketchField = Annotated[Sketch, BeforeValidator(_from_wire), PlainSerializer(Sketch.to_wire)]
"""A sketch as a field of a message."""
