"""Burrow's evaluation rules, on samples of committed offsets. Pure.

Burrow reads the stream of commits and keeps the last ten of each partition, each with the time of its commit. We ask
for the committed offset from time to time, which tells neither when it was committed nor whether the same offset was
committed again. So a sample counts as a commit if its offset differs from that of the sample before, or if a living
member has the partition: Burrow takes a commit for a sign of life, and we take the member's heartbeat.

The rules, in this order, for a partition where something waits now (nothing waits: OK, always):

- STOP: the time since the last commit is longer than the window of commits; but not while one of the last samples
  shows that everything had been done.
- REWIND: the offset went back, and has not reached its former position since.
- STALL: the offset has not moved for :attr:`Rules.patience_s`, and something waited all the time.
- WARN: the offset moves, but over the whole window the lag was never zero and never shrank.
- OK otherwise.

Two things differ from Burrow, both because its window is made of commits that are a minute apart: STALL looks at the
last ``patience_s`` of the window instead of at all of it, so that a stalled worker shows within seconds; and no rule
but REWIND is applied before there are samples of that long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from manyheads.infra.lag.model import LagState

NOTHING_COMMITTED = -1
"""the offset of a sample whose group has committed nothing in the partition"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One partition of one group at one moment."""

    at_s: float
    """of any clock that only runs forward"""
    offset: int
    """the committed offset, or NOTHING_COMMITTED"""
    end: int
    lag: int
    """records that wait: at most ``end - offset``"""
    owned: bool
    """whether a living member has the partition"""


@dataclass(frozen=True, slots=True)
class Rules:
    """How long to look before judging."""

    intervals: int = 10
    """samples of a full window, Burrow's ``intervals``"""
    patience_s: float = 6.0
    """how long an offset may stand still while something waits; longer than the group's commit interval"""


def judge(window: Sequence[Sample], rules: Rules) -> LagState:
    """The state of a partition, from its samples of the window, the newest (now) last.

    Raises:
        ValueError: there is no sample.
    """
    if not window:
        raise ValueError("a partition without samples cannot be judged")
    if window[-1].lag == 0:
        return LagState.OK
    recent = latest(window, rules.patience_s)
    if recent is not None and _stopped(window, recent):
        return LagState.STOP
    if _rewound(window):
        return LagState.REWIND
    if recent is not None and _stalled(recent):
        return LagState.STALL
    if len(window) >= rules.intervals and _falls_behind(window):
        return LagState.WARN
    return LagState.OK


def is_commit(sample: Sample, before: Sample | None) -> bool:
    """Whether a sample stands for a commit: its offset moved, or somebody is there who could have moved it."""
    return sample.owned or (before is not None and sample.offset != before.offset)


def latest(window: Sequence[Sample], seconds: float) -> Sequence[Sample] | None:
    """The samples, two at least, that cover the last ``seconds``; None if there are none of that long yet."""
    since = window[-1].at_s - seconds
    for index in range(len(window) - 2, -1, -1):
        if window[index].at_s <= since:
            return window[index:]
    return None


def _stopped(window: Sequence[Sample], recent: Sequence[Sample]) -> bool:
    now = window[-1]
    if any(sample.lag == 0 and sample.offset == now.offset for sample in recent):
        return False  # what waits now has only just come
    commits = [sample for before, sample in zip((None, *window), window, strict=False) if is_commit(sample, before)]
    if not commits:
        return True
    return now.at_s - commits[-1].at_s > commits[-1].at_s - commits[0].at_s


def _rewound(window: Sequence[Sample]) -> bool:
    highest = window[0].offset
    for sample in window:
        highest = max(highest, sample.offset)
    return window[-1].offset < highest


def _stalled(recent: Sequence[Sample]) -> bool:
    return all(sample.offset == recent[-1].offset and sample.lag > 0 for sample in recent)


def _falls_behind(window: Sequence[Sample]) -> bool:
    lags = [sample.lag for sample in window]
    return min(lags) > 0 and all(before <= after for before, after in pairwise(lags))
