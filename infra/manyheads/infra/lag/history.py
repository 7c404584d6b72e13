"""The last samples of one partition: its window, its rates, and when it will have caught up. Pure."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from manyheads.infra.lag.judge import Rules, Sample

_KEEPS_UP_S = 1.0
"""what the group does within this time is work in hand, not a backlog"""


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

    def add(self, sample: Sample) -> None:
        """Take a sample, and forget what is beyond the window."""
        samples = self._samples
        if samples and sample.end < samples[-1].end:
            samples.clear()  # another topic of the same name
        samples.append(sample)
        since = sample.at_s - self._rules.patience_s
        # The second of them covers the patience alone.
        while len(samples) > self._rules.intervals and samples[1].at_s <= since:
            samples.popleft()

    @property
    def window(self) -> Sequence[Sample]:
        """The samples, the newest last."""
        return self._samples

    def pace(self) -> Pace:
        """Rates over the window, and the time until nothing waits if they stay."""
        if len(self._samples) < 2:
            return Pace(eta_s=0.0 if self._samples and self._samples[-1].lag == 0 else None)
        first, last = self._samples[0], self._samples[-1]
        seconds = last.at_s - first.at_s
        if seconds <= 0:
            return Pace()
        arrivals = (last.end - first.end) / seconds
        # Where the group stands is what it has left behind: a committed offset does not step over a marker.
        completions = max(0.0, ((last.end - last.lag) - (first.end - first.lag)) / seconds)
        return Pace(arrivals, completions, self._eta_s(arrivals, completions))

    def _eta_s(self, arrivals: float, completions: float) -> float:
        waiting = self._samples[-1].lag
        if waiting == 0:
            return 0.0
        keeps_up = waiting <= completions * _KEEPS_UP_S or any(sample.lag == 0 for sample in self._samples)
        if keeps_up and completions > 0:
            return waiting / completions
        return waiting / (completions - arrivals) if completions > arrivals else math.inf


def longest(etas: Sequence[float | None]) -> float | None:
    """The ETA of several partitions together: the longest, None if one of them is unknown and none is ``inf``."""
    known = [eta for eta in etas if eta is not None]
    if math.inf in known:
        return math.inf
    return max(known, default=None) if len(known) == len(etas) else None
