"""The last samples of one partition: its window, its rates, and when it will have caught up. Pure."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from manyheads.infra.lag.judge import NOTHING_COMMITTED, Rules, Sample, latest

_IN_HAND_S = 1.0
"""what is done within this time is work in hand, as a healthy group always has some, and no backlog"""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast records come and go. None before there are two samples."""

    arrival_rate: float | None = None
    completion_rate: float | None = None
    eta_s: float | None = None


class History:
    """A sliding window of samples: a full window of the rules, and at least their patience."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._samples: deque[Sample] = deque()
        self._committed = NOTHING_COMMITTED

    def add(self, sample: Sample) -> None:
        """Take a sample, and forget what is beyond the window."""
        samples = self._samples
        if samples and sample.end < samples[-1].end:
            samples.clear()  # another topic of the same name
        samples.append(sample)
        if sample.offset != NOTHING_COMMITTED:
            self._committed = sample.offset
        since = sample.at_s - self._rules.patience_s
        # The second of them covers the patience alone.
        while len(samples) > self._rules.intervals and samples[1].at_s <= since:
            samples.popleft()

    @property
    def window(self) -> tuple[Sample, ...]:
        """The samples, the newest last."""
        return tuple(self._samples)

    @property
    def vanished(self) -> int | None:
        """The offset that the group had committed, if there is none any more."""
        gone = self._committed != NOTHING_COMMITTED and self._samples[-1].offset == NOTHING_COMMITTED
        return self._committed if gone else None

    def pace(self) -> Pace:
        """Rates over the window, and the time until nothing waits if they stay."""
        first, last = self._samples[0], self._samples[-1]
        seconds = last.at_s - first.at_s
        if seconds <= 0:
            return Pace(eta_s=0.0 if last.lag == 0 else None)
        arrivals = (last.end - first.end) / seconds
        # Where the group stands is what it has left behind: a committed offset does not step over a marker.
        completions = max(0.0, ((last.end - last.lag) - (first.end - first.lag)) / seconds)
        return Pace(arrivals, completions, self._eta_s(arrivals, completions))

    def _eta_s(self, arrivals: float, completions: float) -> float:
        waiting = self._samples[-1].lag
        if waiting == 0:
            return 0.0
        recent = latest(self.window, self._rules.patience_s) or self._samples
        in_hand = waiting <= completions * _IN_HAND_S or any(sample.lag == 0 for sample in recent)
        if in_hand and completions > 0:
            return waiting / completions
        return waiting / (completions - arrivals) if completions > arrivals else math.inf


def longest(etas: Sequence[float | None]) -> float | None:
    """The ETA of several partitions together: the longest, None if one of them is unknown and none is ``inf``."""
    known = [eta for eta in etas if eta is not None]
    if math.inf in known:
        return math.inf
    return max(known, default=None) if len(known) == len(etas) else None
