"""Figures of a stage or a tenant: the number, a remark, and its last 15 minutes."""

import math
from collections.abc import Callable

from manyheads.infra.dashboard import figures
from manyheads.infra.dashboard.history import GroupPast, Points
from manyheads.infra.dashboard.model import Series
from manyheads.infra.dashboard.sparkline import Line
from manyheads.infra.dashboard.views.parts import Figure, Tone
from manyheads.infra.lag.model import GroupLag, LagState
from manyheads.infra.telemetry.aggregate import LaneFigures

SLOW_S = 1.0
"""the least that a full chart of ages stands for"""
MANY = 10.0
"""and one of lag"""


def latency_figure(series: Series | None) -> Figure:
    """p50 and p99 of the last seconds, else of the 15 minutes."""
    if series is None:
        return Figure(figures.UNKNOWN)
    window = series.now if series.now.total.count else series.whole
    lines = (
        Line(points(series, lambda slot: slot.total.p99)),
        Line(points(series, lambda slot: slot.total.p50), "second"),
    )
    if not window.total.count:
        return Figure(figures.UNKNOWN, lines=lines)
    note = f"p50 {figures.milliseconds(window.total.p50)}"
    return Figure(
        figures.milliseconds(window.total.p99), note if window is series.now else f"{note}, 15 min", lines=lines
    )


def rate_figure(series: Series | None) -> Figure:
    """Requests a second, now."""
    if series is None:
        return Figure(figures.UNKNOWN)
    done = f"{figures.count(series.whole.records)} in 15 min"
    return Figure(figures.rate(series.now.rate), done, lines=(Line(points(series, lambda slot: slot.rate)),))


def error_figure(series: Series | None) -> Figure:
    """The share of requests that ended in an error, in the last 15 minutes: they are rare, and must not flit by."""
    if series is None:
        return Figure(figures.UNKNOWN)
    bad = series.whole.errors > 0
    return Figure(
        figures.share(series.whole.errors, series.whole.records),
        _which_errors(series),
        Tone.BAD if series.now.errors else Tone.WARN if bad else Tone.PLAIN,
        lines=(Line(points(series, lambda slot: float(slot.errors)), "bad" if bad else "calm"),),
        ceiling=1.0,
    )


def _which_errors(series: Series) -> str:
    if not series.whole.errors:
        return "none in 15 min" if series.whole.records else ""
    if not series.codes:
        return f"{figures.count(series.whole.errors)} in 15 min"
    most = max(series.codes, key=lambda code: series.codes[code])
    others = f" +{len(series.codes) - 1}" if len(series.codes) > 1 else ""
    return f"{figures.count(series.codes[most])} {most}{others}"


def oldest_figure(group: GroupLag | None, past: GroupPast | None) -> Figure:
    """How long the oldest record waits."""
    lines = () if past is None else (Line(past.oldest_age_s),)
    if group is None or group.oldest_age_s is None:
        return Figure(figures.UNKNOWN, lines=lines, ceiling=SLOW_S)
    value = "none waits" if group.lag == 0 else figures.seconds(group.oldest_age_s)
    return Figure(value, "", state_tone(group.state), lines, SLOW_S)


def eta_figure(group: GroupLag | None, past: GroupPast | None) -> Figure:
    """When nothing will wait any more, over the lag."""
    lines = () if past is None else (Line(past.lag),)
    if group is None:
        return Figure(figures.UNKNOWN, lines=lines, ceiling=MANY)
    tone = state_tone(group.state) if group.state is not LagState.OK or group.eta_s == math.inf else Tone.PLAIN
    return Figure(figures.eta(group.eta_s), f"lag {figures.count(group.lag)}", tone, lines, MANY)


def state_tone(state: LagState) -> Tone:
    """How a figure of a group in that state is meant."""
    if state is LagState.OK:
        return Tone.PLAIN
    return Tone.WARN if state is LagState.WARN else Tone.BAD


def points(series: Series, value: Callable[[LaneFigures], float | None]) -> Points:
    """One value of each slot."""
    return tuple(value(slot) for slot in series.slots)
