"""Lag, partition by partition."""

from dataclasses import dataclass, replace

from manyheads.infra.dashboard import figures
from manyheads.infra.dashboard.heatstrip import heat_strip
from manyheads.infra.dashboard.history import SLOTS, GroupPast, Points, Shades, lag_level
from manyheads.infra.dashboard.model import Snapshot
from manyheads.infra.dashboard.sparkline import Line
from manyheads.infra.dashboard.views.measures import MANY, age, eta_figure, oldest_figure, state_tone
from manyheads.infra.dashboard.views.parts import Figure, Notice
from manyheads.infra.dashboard.views.verdict import Verdict, group_name, notices, verdict
from manyheads.infra.lag.model import GroupLag, LagState, PartitionLag

_DENSE_FROM = 97
"""so many partitions get small cells without figures"""
_MOST_CELLS = 2_000
_MOST_STRIPS = 48

LEGEND = (
    (LagState.OK, "caught up, or catching up"),
    (LagState.WARN, "falling behind"),
    (LagState.STALL, "records wait, nothing is committed"),
    (LagState.STOP, "records wait, nobody is there"),
    (LagState.REWIND, "went back, and is not there again"),
    (LagState.ERR, "cannot be told, or records were lost"),
)

CellKey = tuple[str, str, int]
"""group, topic and partition"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One partition on the heat map."""

    key: CellKey
    number: str
    lag: str
    style: str
    """the state, and for OK how much lag"""
    told: str
    """everything in one line, for a pointer and for those who do not see colours"""
    pairs: tuple[tuple[str, str], ...]
    """everything, by name"""


@dataclass(frozen=True, slots=True)
class GroupCard:
    """One group."""

    group: str
    name: str
    kafka: str
    state: LagState
    sentence: str
    """why it is in that state; nothing if all is done"""
    facts: tuple[tuple[str, Figure], ...]
    dense: bool
    """the cells are small, and without figures"""
    cells: tuple[Cell, ...]
    left_out: str
    """which partitions are not shown, if any"""
    strip: str
    """the last 15 minutes as SVG; nothing if nothing happened in them"""
    strip_note: str
    """which partitions are in it, if not all"""


@dataclass(frozen=True, slots=True)
class LagPage:
    """The page."""

    verdict: Verdict
    notices: tuple[Notice, ...]
    groups: tuple[GroupCard, ...]


def lag_page(snapshot: Snapshot) -> LagPage:
    """Lag of every group, the pipeline's own first and in the order of the way that a request takes."""
    cards = [_card(group, snapshot.past.get(group.group)) for group in sorted(snapshot.lag.groups, key=_order)]
    return LagPage(verdict(snapshot), notices(snapshot), tuple(cards))


def _order(group: GroupLag) -> tuple[bool, str, str, str, str]:
    return (
        group.stage is None,
        group.ring or group.group,
        "" if group.stage is None else group.stage.value,
        group.cell or "",
        "0" if group.lane is None else str(group.lane != "interactive"),
    )


def _card(group: GroupLag, past: GroupPast | None) -> GroupCard:
    idle = not group.lag and (past is None or not (any(past.lag) or any(past.arrival_rate)))
    shown = _worst(group.partitions, _MOST_CELLS)
    several_topics = len({each.topic for each in shown}) > 1
    left_out = len(group.partitions) - len(shown)
    strips = _worst(shown, _MOST_STRIPS)
    nothing: Shades = (None,) * SLOTS
    rows = [past.partitions.get((each.topic, each.partition), nothing) if past else nothing for each in strips]
    fewer = f"the worst {_MOST_STRIPS} of {len(group.partitions)}" if len(strips) < len(shown) else ""
    return GroupCard(
        group=group.group,
        name=group_name(group),
        kafka=_kafka(group),
        state=group.state,
        sentence=group.sentence if group.lag or group.state is not LagState.OK else "",
        facts=_facts(group, past),
        dense=idle or len(shown) >= _DENSE_FROM,
        cells=tuple(_cell(group, each, several_topics) for each in shown),
        left_out=f"{figures.count(left_out)} more partitions, none of them worse, are not shown." if left_out else "",
        strip=heat_strip(rows) if rows and not idle else "",
        strip_note=fewer,
    )


def _worst(partitions: tuple[PartitionLag, ...], most: int) -> tuple[PartitionLag, ...]:
    """At most so many, the worst ones, in their order."""
    if len(partitions) <= most:
        return partitions
    worst = sorted(partitions, key=lambda each: (each.state.severity, each.lag or 0), reverse=True)[:most]
    return tuple(sorted(worst, key=lambda each: (each.topic, each.partition)))


def _kafka(group: GroupLag) -> str:
    members = len(group.members)
    return f"{group.group} · {members} {'member' if members == 1 else 'members'} · {group.kafka_state}"


def _facts(group: GroupLag, past: GroupPast | None) -> tuple[tuple[str, Figure], ...]:
    nothing: Points = (None,) * SLOTS
    lag, arrival, completion = (nothing,) * 3 if past is None else (past.lag, past.arrival_rate, past.completion_rate)
    return (
        ("Lag", Figure(figures.count(group.lag), "", state_tone(group.state), (Line(lag),), MANY)),
        ("Oldest waits", oldest_figure(group, past)),
        ("Arrive", Figure(figures.rate(group.arrival_rate), lines=(Line(arrival),))),
        ("Done", Figure(figures.rate(group.completion_rate), lines=(Line(completion),))),
        ("Caught up in", replace(eta_figure(group, past), note="")),
    )


def _cell(group: GroupLag, each: PartitionLag, several_topics: bool) -> Cell:
    number = f"{each.topic} {each.partition}" if several_topics else f"{each.partition}"
    if each.state is not LagState.OK:
        number = f"{number} {each.state}"
    lag = figures.UNKNOWN if each.lag is None else figures.short_count(each.lag)
    style = f"OK l{lag_level(each.lag or 0)}" if each.state is LagState.OK else each.state.value
    exact = figures.UNKNOWN if each.lag is None else figures.count(each.lag)
    told = f"Partition {each.partition}: {each.state}, lag {exact}. {each.sentence}"
    return Cell((group.group, each.topic, each.partition), number, lag, style, told, _pairs(each, exact))


def _pairs(each: PartitionLag, lag: str) -> tuple[tuple[str, str], ...]:
    def offset(value: int | None) -> str:
        return figures.UNKNOWN if value is None else f"{value}"

    member = each.member
    return (
        ("Topic", each.topic),
        ("State", each.state.value),
        ("Why", each.sentence),
        ("Lag", lag),
        ("Oldest waits", age(each.lag, each.oldest_age_s)),
        ("Arrive", figures.rate(each.arrival_rate)),
        ("Done", figures.rate(each.completion_rate)),
        ("Caught up in", figures.eta(each.eta_s)),
        ("Committed", offset(each.committed)),
        ("Log", f"{offset(each.start)} to {offset(each.end)}"),
        ("Worker", "nobody" if member is None else f"{member.client_id} at {member.host}"),
    )
