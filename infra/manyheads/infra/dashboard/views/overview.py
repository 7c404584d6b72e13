"""The overview: are we keeping up, when will we have caught up, and where does it hurt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from manyheads.infra.dashboard import figures
from manyheads.infra.dashboard.history import Points
from manyheads.infra.dashboard.model import Series, Snapshot
from manyheads.infra.dashboard.sparkline import Line
from manyheads.infra.dashboard.views.measures import (
    SLOW_S,
    age,
    error_figure,
    error_line,
    error_tone,
    eta_figure,
    latency_figure,
    oldest_figure,
    points,
    rate_figure,
    state_tone,
)
from manyheads.infra.dashboard.views.parts import Figure, Notice, stage_name
from manyheads.infra.dashboard.views.together import combined, past_together, together
from manyheads.infra.dashboard.views.verdict import Verdict, notices, our_groups, verdict
from manyheads.infra.lag.model import GroupLag, LagState, Stage
from manyheads.infra.telemetry.aggregate import LaneFigures, LaneKey
from manyheads.topics.names import Lane, RingName


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage of one lane."""

    key: LaneKey
    name: str
    state: LagState | None
    """None if no broker says"""
    sentence: str
    """why it is in that state, unless that is OK"""
    idle: bool
    """nothing came and nothing waited in the 15 minutes"""
    rate: Figure
    latency: Figure
    errors: Figure
    oldest: Figure
    eta: Figure


@dataclass(frozen=True, slots=True)
class RingCard:
    """One ring's stages."""

    ring: str
    note: str
    rows: tuple[StageRow, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """The page."""

    verdict: Verdict
    notices: tuple[Notice, ...]
    tiles: tuple[tuple[str, Figure], ...]
    rings: tuple[RingCard, ...]


def overview(snapshot: Snapshot) -> Overview:
    """The overview of a snapshot."""
    groups: dict[LaneKey, list[GroupLag]] = {}
    for group in our_groups(snapshot):
        groups.setdefault(_key(group), []).append(group)
    keys = sorted(groups.keys() | snapshot.traffic.lanes.keys(), key=_order)
    rows = [_row(snapshot, key, groups.get(key, [])) for key in keys]
    return Overview(
        verdict=verdict(snapshot),
        notices=notices(snapshot),
        tiles=_tiles(snapshot),
        rings=tuple(
            RingCard(ring, _ring_note(snapshot, ring), tuple(row for row in rows if row.key.ring == ring))
            for ring in sorted({key.ring for key in keys})
        ),
    )


def _row(snapshot: Snapshot, key: LaneKey, groups: Sequence[GroupLag]) -> StageRow:
    """``groups`` are that of the lane and, of heads, that of its transient topic: workers report both as one."""
    series = snapshot.traffic.lanes.get(key)
    group = together(groups) if groups else None
    past = past_together([snapshot.past[each.group] for each in groups if each.group in snapshot.past])
    busy = (series is not None and series.whole.records > 0) or (past is not None and any(past.lag))
    return StageRow(
        key=key,
        name=stage_name(key.stage, key.cell),
        state=None if group is None else group.state,
        sentence="" if group is None or group.state is LagState.OK else group.sentence,
        idle=not busy and (group is None or group.lag == 0),
        rate=rate_figure(series),
        latency=latency_figure(series),
        errors=error_figure(series),
        oldest=oldest_figure(group, past),
        eta=eta_figure(group, past),
    )


def _tiles(snapshot: Snapshot) -> tuple[tuple[str, Figure], ...]:
    """Of the whole pipeline: what goes out at its end, how slow, how wrong, and what waits longest."""
    stages = snapshot.traffic.lanes
    ends = [series for key, series in stages.items() if key.stage == Stage.HEAD]
    live = [series for key, series in stages.items() if key.stage == Stage.HEAD and key.lane is Lane.INTERACTIVE]
    return (
        ("Answers", _throughput(ends)),
        ("p99, interactive", _slowest(live)),
        ("Errors", _errors(list(stages.values()), ends)),
        ("Longest wait", _longest_wait(snapshot)),
    )


def _throughput(ends: Sequence[Series]) -> Figure:
    if not ends:
        return Figure(figures.UNKNOWN)
    line = Line(_over(ends, lambda slot: slot.rate, sum))
    done = sum(series.whole.records for series in ends)
    return Figure(
        figures.rate(sum(series.now.rate for series in ends)), f"{figures.count(done)} in 15 min", lines=(line,)
    )


def _slowest(live: Sequence[Series]) -> Figure:
    known = [latency_figure(series) for series in live if series.whole.total.count]
    if not known:
        return Figure(figures.UNKNOWN, "nothing yet" if live else "")
    worst = max((series for series in live if series.whole.total.count), key=_p99)
    lines = (
        Line(_over(live, lambda slot: slot.total.p99, max)),
        Line(_over(live, lambda slot: slot.total.p50, max), "second"),
    )
    figure = latency_figure(worst)
    return Figure(figure.value, figure.note, lines=lines)


def _p99(series: Series) -> float:
    return series.now.total.p99 or series.whole.total.p99 or 0.0


def _errors(stages: Sequence[Series], ends: Sequence[Series]) -> Figure:
    """Of all stages, as a share of what came in: what failed in the encoder never reaches a head."""
    failed = sum(series.whole.errors for series in stages)
    answered = sum(series.whole.records - series.whole.errors for series in ends)
    tone = error_tone(failed, sum(series.now.errors for series in stages))
    slots = zip(*([slot.errors for slot in series.slots] for series in stages), strict=True)
    line = error_line([float(sum(errors)) for errors in slots], tone)
    note = "" if not answered + failed else f"{figures.count(failed)} in 15 min" if failed else "none in 15 min"
    return Figure(figures.share(failed, answered + failed), note, tone, (line,), ceiling=1.0)


def _longest_wait(snapshot: Snapshot) -> Figure:
    groups = our_groups(snapshot)
    ages = [group.oldest_age_s for group in groups if group.oldest_age_s is not None]
    if not ages:
        return Figure(figures.UNKNOWN)
    past = [snapshot.past[group.group].oldest_age_s for group in groups if group.group in snapshot.past]
    line = Line(combined(past, max))
    waiting = sum(group.lag for group in groups)
    worst = max(groups, key=lambda group: group.state.severity)
    return Figure(
        age(waiting, max(ages)),
        f"lag {figures.count(waiting)}",
        state_tone(worst.state),
        (line,),
        SLOW_S,
    )


def _over(
    many: Sequence[Series], value: Callable[[LaneFigures], float | None], combine: Callable[[list[float]], float]
) -> Points:
    """One value of each slot, over several series."""
    return combined([points(series, value) for series in many], combine)


def _key(group: GroupLag) -> LaneKey:
    assert group.ring is not None  # one of ours has all four
    assert group.stage is not None
    assert group.lane is not None
    return LaneKey(group.ring, group.stage, group.cell, group.lane)


def _order(key: LaneKey) -> tuple[str, bool, str, bool]:
    """By ring, along the way that a request takes, interactive first."""
    return (key.ring, key.stage == Stage.HEAD, key.cell or "", key.lane is Lane.BATCH)


def _ring_note(snapshot: Snapshot, ring: str) -> str:
    if snapshot.registry is None:
        return ""
    record = snapshot.registry.ring(RingName(ring))
    if record is None:
        return "not registered: build its encoder with `manyheads encoder build`"
    tenants = len(snapshot.registry.tenants(record.ring))
    cells = len(record.cells)
    return (
        f"encoder {record.encoder} · {cells} {'cell' if cells == 1 else 'cells'} · "
        f"{figures.count(tenants)} {'tenant' if tenants == 1 else 'tenants'}"
    )
