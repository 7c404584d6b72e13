"""Figures of a stage or a tenant: the number, a remark, and its last 15 minutes."""

import math
from collections.abc import Callable, Sequence

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
LONG_S = 5.0
"""and one of the time until it has caught up"""


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
    tone = error_tone(series.whole.errors, series.now.errors)
    return Figure(
        figures.share(series.whole.errors, series.whole.records),
        _which_errors(series),
        tone,
        lines=(error_line([float(slot.errors) for slot in series.slots], tone),),
        ceiling=1.0,
    )


def error_tone(whole: int, now: int) -> Tone:
    """How errors are meant: of the 15 minutes, and of the last seconds."""
    return Tone.BAD if now else Tone.WARN if whole else Tone.PLAIN


def error_line(errors: Sequence[float], tone: Tone) -> Line:
    """Errors over time, in the colour of their figure; grey if there were none."""
    return Line(errors, tone or Tone.CALM)


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
    return Figure(age(group.lag, group.oldest_age_s), "", state_tone(group.state), lines, SLOW_S)


def age(lag: int | None, oldest_age_s: float | None) -> str:
    """How long the oldest record waits, if one does."""
    return "none" if lag == 0 else figures.seconds(oldest_age_s)


def eta_figure(group: GroupLag | None, past: GroupPast | None) -> Figure:
    """When nothing will wait any more."""
    lines = () if past is None else eta_lines(past.eta_s)
    if group is None:
        return Figure(figures.UNKNOWN, lines=lines, ceiling=LONG_S)
    note = f"lag {figures.count(group.lag)}"
    return Figure(figures.eta(group.eta_s), note, state_tone(group.state), lines, LONG_S)


def eta_lines(past: Points) -> tuple[Line, ...]:
    """The times until it would have caught up, and as a line at the top where that was never."""
    finite = [None if eta == math.inf else eta for eta in past]
    if math.inf not in past:
        return (Line(finite),)
    top = max([LONG_S, *(eta for eta in finite if eta is not None)])
    return Line(finite), Line([top if eta == math.inf else None for eta in past], Tone.WARN)


def state_tone(state: LagState) -> Tone:
    """How a figure of a group in that state is meant."""
    if state is LagState.OK:
        return Tone.PLAIN
    return Tone.WARN if state is LagState.WARN else Tone.BAD


def points(series: Series, value: Callable[[LaneFigures], float | None]) -> Points:
    """One value of each slot."""
    return tuple(value(slot) for slot in series.slots)
