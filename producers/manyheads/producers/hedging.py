"""Hedged sends: a request that takes longer than most is sent once more, to another partition; the first reply wins."""

from collections import deque
from collections.abc import Callable

from manyheads.producers.calls import CallTable, Dispatch
from manyheads.producers.clock import Alarm, Clock
from manyheads.topics.sketch import Sketch

SHARE = 0.95
"""of all requests are faster than what is sent again"""
_ENOUGH = 100
"""latencies before anything is known of them, and between two looks"""
_REMEMBERED = 2_000
"""latencies that still count, at least half of them"""
_BURST = 10.0
"""second sends that may have been saved up"""


class SlowestOf:
    """When a request counts as slow, by the latencies of the last thousands. Pure."""

    def __init__(self) -> None:
        self._now, self._before = Sketch(), Sketch()
        self._count = 0
        self.delay: float | None = None
        """seconds that :data:`SHARE` of all took at most; None as long as too little is known"""

    def add(self, seconds: float) -> None:
        """One request was answered."""
        self._now.add(seconds * 1000)
        self._count += 1
        if self._count % _ENOUGH:
            return
        both = Sketch(dict(self._before.bins))
        both.merge(self._now)
        quantile_ms = both.quantile(SHARE)
        assert quantile_ms is not None  # it counts those just added
        self.delay = quantile_ms / 1000
        if self._count % (_REMEMBERED // 2) == 0:
            self._now, self._before = Sketch(), self._now


class Hedger:
    """Sends again what takes too long, within a budget.

    Args:
        budget: second sends for each first one, 0 to 1; 0: none.
        wake: there is something to send.
    """

    def __init__(self, calls: CallTable, clock: Clock, budget: float, wake: Callable[[], None]) -> None:
        self._calls = calls
        self._clock = clock
        self._budget = budget
        self._wake = wake
        self._slow = SlowestOf()
        self._allowance = 0.0
        self._waiting: deque[Dispatch] = deque()
        self._alarm: Alarm | None = None

    def accepted(self, dispatch: Dispatch) -> None:
        """Kafka has a request for the first time."""
        if not self._budget:
            return
        self._allowance = min(self._allowance + self._budget, _BURST)
        if self._slow.delay is not None:
            self._waiting.append(dispatch)
            self._watch()

    def answered(self, dispatch: Dispatch) -> None:
        """A reply to it came."""
        if self._budget and dispatch.sent is not None:
            self._slow.add(max(0.0, self._clock.now() - dispatch.sent))

    def close(self) -> None:
        """Send nothing again."""
        self._waiting.clear()
        if self._alarm is not None:
            self._alarm.cancel()

    def _watch(self) -> None:
        while self._waiting and not self._waiting[0].unsettled:
            self._waiting.popleft()
        if self._alarm is None and self._waiting:
            self._alarm = self._clock.call_at(max(self._due(self._waiting[0]), self._clock.now()), self._look)

    def _look(self) -> None:
        self._alarm = None
        while self._waiting and (not self._waiting[0].unsettled or self._due(self._waiting[0]) <= self._clock.now()):
            dispatch = self._waiting.popleft()
            if dispatch.unsettled and self._allowance >= 1:
                self._allowance -= 1
                self._calls.hedge(dispatch)
                self._wake()
        self._watch()

    def _due(self, dispatch: Dispatch) -> float:
        assert dispatch.sent is not None  # Kafka has it
        assert self._slow.delay is not None  # or it would not be watched
        return dispatch.sent + self._slow.delay
