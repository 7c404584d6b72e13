"""The last 15 minutes of what the lag monitor measured: bounded, in slots of 10 seconds. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from manyheads.infra.lag.model import GroupLag, LagSnapshot, LagState, PartitionLag

SLOT_S = 10
SLOTS = 90
SLOT_MS = SLOT_S * 1_000
_LEVELS = (1, 10, 100, 1_000)
OK_SHADES = len(_LEVELS) + 1

PartitionKey = tuple[str, int]
"""topic and partition"""
Points = tuple[float | None, ...]
"""SLOTS values, the oldest first; None where nothing was measured"""
Shades = tuple[int | None, ...]
"""SLOTS shades, as :func:`shade` has them"""


def lag_level(lag: int) -> int:
    """How much lag, for a colour: 0 none, 1 below 10, 2 below 100, 3 below 1,000, 4 more."""
    return sum(lag >= bound for bound in _LEVELS)


def shade(partition: PartitionLag) -> int:
    """State and lag in one number that rises with how bad it is: 0 to 4 for OK by its lag, then WARN to ERR."""
    if partition.state is LagState.OK:
        return lag_level(partition.lag or 0)
    return OK_SHADES - 1 + partition.state.severity


def state_of_shade(number: int) -> LagState:
    """The state that a shade stands for."""
    return tuple(LagState)[max(0, number - OK_SHADES + 1)]


@dataclass(frozen=True, slots=True)
class GroupPast:
    """One group's last 15 minutes."""

    lag: Points
    oldest_age_s: Points
    arrival_rate: Points
    completion_rate: Points
    eta_s: Points
    """inf where it would never have caught up"""
    partitions: Mapping[PartitionKey, Shades]


class _Slots:
    """The highest value of each of the last slots."""

    def __init__(self) -> None:
        self._newest = 0
        self._values: list[float | None] = [None] * SLOTS

    def note(self, slot: int, value: float) -> None:
        if slot > self._newest:
            self._values, self._newest = list(self.until(slot)), slot
        before = self._values[-1]
        self._values[-1] = value if before is None else max(before, value)

    def until(self, slot: int) -> Points:
        """The values up to ``slot``, which is not before the newest."""
        missing = min(SLOTS, max(0, slot - self._newest))
        return (*self._values[missing:], *[None] * missing)


@dataclass(slots=True)
class _GroupSlots:
    lag: _Slots = field(default_factory=_Slots)
    oldest: _Slots = field(default_factory=_Slots)
    arrival: _Slots = field(default_factory=_Slots)
    completion: _Slots = field(default_factory=_Slots)
    eta: _Slots = field(default_factory=_Slots)
    partitions: dict[PartitionKey, _Slots] = field(default_factory=dict)
    seen: int = 0


class LagHistory:
    """Takes snapshots, keeps slots. For one thread."""

    def __init__(self) -> None:
        self._groups: dict[str, _GroupSlots] = {}

    def add(self, snapshot: LagSnapshot) -> None:
        """Note a snapshot; groups and partitions that have not been seen for 15 minutes are forgotten."""
        slot = snapshot.at_ms // SLOT_MS
        for group in snapshot.groups:
            self._note(self._groups.setdefault(group.group, _GroupSlots()), group, slot)
        for name, slots in list(self._groups.items()):
            if slots.seen <= slot - SLOTS:
                del self._groups[name]

    def past(self, at_ms: int) -> dict[str, GroupPast]:
        """By group, the 15 minutes before ``at_ms``."""
        slot = at_ms // SLOT_MS
        return {
            name: GroupPast(
                lag=slots.lag.until(slot),
                oldest_age_s=slots.oldest.until(slot),
                arrival_rate=slots.arrival.until(slot),
                completion_rate=slots.completion.until(slot),
                eta_s=slots.eta.until(slot),
                partitions={key: _shades(each.until(slot)) for key, each in slots.partitions.items()},
            )
            for name, slots in self._groups.items()
        }

    def _note(self, slots: _GroupSlots, group: GroupLag, slot: int) -> None:
        slots.seen = slot
        slots.lag.note(slot, group.lag)
        for past, value in (
            (slots.oldest, group.oldest_age_s),
            (slots.arrival, group.arrival_rate),
            (slots.completion, group.completion_rate),
            (slots.eta, group.eta_s),
        ):
            if value is not None:
                past.note(slot, value)
        present = {(each.topic, each.partition): each for each in group.partitions}
        slots.partitions = {key: slots.partitions.get(key) or _Slots() for key in present}
        for key, each in present.items():
            slots.partitions[key].note(slot, shade(each))


def _shades(points: Points) -> Shades:
    return tuple(None if value is None else int(value) for value in points)
