"""Is this machine's clock the cluster's, and are the workers'?

Deadlines are moments of the wall clock that a producer writes and every stage compares with its own, so a machine
whose clock is ahead drops requests as expired, and one that is behind answers what nobody waits for any more.

Nothing is written to ask: the answer to DescribeQuorum, which any client may ask a KRaft cluster that may describe the
cluster, states the present time of the active controller. Of several answers the fastest is the most exact: the
controller's clock was read between sending and receiving, so the error is at most half of that time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from manyheads.infra.doctor.findings import Area, Finding

CLOCKS = Area("clocks")
WARN_MS = 250.0
"""a good part of what an interactive caller waits"""
FAIL_MS = 2_000.0
"""as long as many callers' whole deadline"""
_SYNCHRONISE = "synchronise its clock (chrony, systemd-timesyncd, NTP)"


@dataclass(frozen=True, slots=True)
class Reading:
    """One question for the time; milliseconds since the epoch, the first and the last by this machine's clock."""

    asked_ms: float
    stated_ms: float
    """by the cluster's clock"""
    answered_ms: float


@dataclass(frozen=True, slots=True)
class Skew:
    """How far a clock is ahead of another, in milliseconds; negative if it is behind."""

    ahead_ms: float
    error_ms: float
    """the most by which that may be wrong"""


@dataclass(frozen=True, slots=True)
class WorkerClock:
    """A worker's clock against the broker's, from its latest report."""

    worker: str
    ahead_ms: float
    """what the worker wrote as its time, less the broker's when it took the report: the way there makes it less"""


def skew_of(readings: Sequence[Reading]) -> Skew:
    """How far this machine's clock is ahead of the cluster's, from the fastest of the readings."""
    best = min(readings, key=lambda reading: reading.answered_ms - reading.asked_ms)
    middle = (best.asked_ms + best.answered_ms) / 2
    # A stated time is a whole number of milliseconds, rounded down.
    return Skew(middle - best.stated_ms, (best.answered_ms - best.asked_ms) / 2 + 1)


def judge_machine(skew: Skew) -> Finding:
    """This machine's clock against the cluster's."""
    seen = f"{_shown(skew.ahead_ms)} the active controller's, to within {skew.error_ms:.0f} ms"
    # Only what is surely wrong is reported: a slow answer is not a wrong clock.
    sure = abs(skew.ahead_ms) - skew.error_ms
    advice = f"deadlines that are set here are moved by that: {_SYNCHRONISE} or the controller's"
    if sure > FAIL_MS:
        return CLOCKS.fail("this machine", seen, advice)
    if sure > WARN_MS:
        return CLOCKS.warn("this machine", seen, advice)
    return CLOCKS.ok("this machine", seen)


def judge_workers(clocks: Sequence[WorkerClock]) -> Iterator[Finding]:
    """The workers' clocks against the broker's: a line for each that differs, and one for all others."""
    good = []
    for clock in sorted(clocks, key=lambda clock: clock.worker):
        seen = f"{_shown(clock.ahead_ms)} the broker's, by its latest report"
        advice = f"it expires requests too {'early' if clock.ahead_ms > 0 else 'late'} by that: {_SYNCHRONISE}"
        if abs(clock.ahead_ms) > FAIL_MS:
            yield CLOCKS.fail(clock.worker, seen, advice)
        elif abs(clock.ahead_ms) > WARN_MS:
            yield CLOCKS.warn(clock.worker, seen, advice)
        else:
            good.append(clock)
    if good:
        furthest = max((clock.ahead_ms for clock in good), key=abs)
        yield CLOCKS.ok(
            "workers", f"{len(good)} within {abs(furthest):.0f} ms of the broker's, by their latest reports"
        )


def _shown(ahead_ms: float) -> str:
    size = abs(ahead_ms)
    amount = f"{size:.0f} ms" if size < 10_000 else f"{size / 1000:,.0f} s"
    return f"{amount} {'behind' if ahead_ms < 0 else 'ahead of'}"
