"""What the pages are made from: everything that is known at one moment. Plain values, read by any thread."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from manyheads.infra.dashboard.history import GroupPast
from manyheads.infra.lag.model import LagSnapshot
from manyheads.infra.registry.snapshot import RegistrySnapshot
from manyheads.infra.telemetry.aggregate import LaneFigures, LaneKey, TenantFigures, WorkerStatus


@dataclass(frozen=True, slots=True)
class Series:
    """The last 15 minutes of one lane of one stage."""

    slots: tuple[LaneFigures, ...]
    """10 seconds each, the oldest first"""
    now: LaneFigures
    """the last seconds"""
    whole: LaneFigures

    @property
    def codes(self) -> dict[str, int]:
        """How often each error code came in the 15 minutes."""
        return {code: number for code, number in self.whole.outcomes.items() if code != "ok"}


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the workers reported."""

    problem: str | None = None
    """None, or why the reports cannot be read and what to do"""
    lanes: Mapping[LaneKey, Series] = field(default_factory=dict)
    tenants: tuple[TenantFigures, ...] = ()
    """of the 15 minutes, those with the most requests first"""
    workers: tuple[WorkerStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, without its value."""

    topic: str
    partition: int
    offset: int
    at_ms: int
    code: str
    reason: str
    tenant: str | None
    headers: tuple[tuple[str, str], ...]
    """as text: numbers and opaque bytes in the way that people read them"""
    value_bytes: int | None
    """None if it has no value"""


@dataclass(frozen=True, slots=True)
class Letters:
    """The newest dead letters of every topic, the newest first."""

    problem: str | None = None
    by_topic: Mapping[str, tuple[Letter, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything, at one moment."""

    at_ms: int
    lag: LagSnapshot
    past: Mapping[str, GroupPast] = field(default_factory=dict)
    traffic: Traffic = Traffic()
    letters: Letters = Letters()
    registry: RegistrySnapshot | None = None
