"""What a measurement of consumer lag says. Plain values: who shows them needs nothing of how they were measured."""

from dataclasses import dataclass
from enum import StrEnum

from manyheads.topics.names import CellName, Lane, RingName


class LagState(StrEnum):
    """Burrow's states of a partition, from fine to worst. :mod:`manyheads.infra.lag.judge` has the rules."""

    OK = "OK"
    """caught up, or catching up"""
    WARN = "WARN"
    """offsets move, and the lag does not shrink: slower than what arrives"""
    STALL = "STALL"
    """records wait, and the committed offset does not move"""
    STOP = "STOP"
    """records wait, and nobody is there to commit"""
    REWIND = "REWIND"
    """the committed offset went back and is not where it was yet"""
    ERR = "ERR"
    """no lag can be told, or records were lost: the sentence says which"""

    @property
    def severity(self) -> int:
        """0 for OK to 5 for ERR."""
        return _SEVERITY[self]

    @property
    def burrow_status(self) -> "LagState":
        """Burrow's status of a group whose worst partition is in this state: OK, WARN, or else ERR."""
        return self if self in (LagState.OK, LagState.WARN) else LagState.ERR


_SEVERITY = {state: number for number, state in enumerate(LagState)}


class Stage(StrEnum):
    """Which stage of the pipeline a group is."""

    ENCODER = "encoder"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Member:
    """One consumer of a group, as the broker knows it."""

    id: str
    client_id: str
    host: str
    """its address without a port, such as ``10.0.3.7``"""


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of one group. What could not be measured is None, and the state ERR."""

    topic: str
    partition: int
    committed: int | None
    """the offset of the next record to process; None if the group has committed nothing here"""
    start: int | None
    """the log's first offset"""
    end: int | None
    """the last stable offset: what a consumer at ``read_committed`` can reach"""
    lag: int | None
    """records that wait; transaction markers and what was aborted are none"""
    oldest_age_s: float | None
    """how long ago the oldest of them was written, by its own timestamp; 0 if none waits"""
    arrival_rate: float | None
    """offsets a second, over the last samples; None before the second one"""
    completion_rate: float | None
    """offsets a second that were committed"""
    eta_s: float | None
    """seconds until nothing waits: 0 caught up, inf never at these rates, None unknown yet"""
    state: LagState
    sentence: str
    """why, and what to do; for people"""
    member: Member | None = None
    """who has the partition"""


@dataclass(frozen=True, slots=True)
class GroupLag:
    """One consumer group. Sums and extremes are over the partitions that could be measured."""

    group: str
    ring: RingName | None
    cell: CellName | None
    stage: Stage | None
    lane: Lane | None
    """the four say which of our stages it is; all None for somebody else's group"""
    members: tuple[Member, ...]
    kafka_state: str
    """Kafka's word: Stable, Empty, Assigning, Reconciling ...; Missing if there is no such group yet"""
    state: LagState
    """that of its worst partition"""
    sentence: str
    lag: int
    oldest_age_s: float | None
    arrival_rate: float | None
    completion_rate: float | None
    eta_s: float | None
    """the longest of its partitions"""
    partitions: tuple[PartitionLag, ...]


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """One dead-letter topic."""

    topic: str
    count: int
    """those that are kept: older ones may have been deleted by retention"""
    rate: float | None
    """a second; None before the second sample"""
    newest_ms: int | None
    """when the newest was written, in ms since 1970; None if there is none"""


@dataclass(frozen=True, slots=True)
class LagSnapshot:
    """Everything, at one moment."""

    at_ms: int
    """ms since 1970"""
    broker: str | None
    """None, or what is wrong with Kafka and what to do; then there are no groups: what is not measured is not shown"""
    groups: tuple[GroupLag, ...] = ()
    dead_letters: tuple[DeadLetters, ...] = ()

    @property
    def state(self) -> LagState:
        """The worst there is: that of a group, or ERR without a broker."""
        if self.broker is not None:
            return LagState.ERR
        return max((group.state for group in self.groups), key=lambda state: state.severity, default=LagState.OK)
