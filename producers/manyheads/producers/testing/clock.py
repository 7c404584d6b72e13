"""A clock that stands still until a test moves it."""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from manyheads.producers.deadline import Moment

_TURNS = 25
"""of the event loop, enough for whatever a callback set in motion within a client"""


@dataclass(slots=True, order=True)
class _Alarm:
    at: float
    number: int
    callback: Callable[[], object] | None = field(compare=False)

    def when(self) -> float:
        return self.at

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """Time for a :class:`FakeNlu`: deadlines and delays pass when you say so.

    Args:
        epoch_ms: what the wall's clock shows at the beginning, milliseconds since the epoch.
    """

    def __init__(self, epoch_ms: int = 1_800_000_000_000) -> None:
        self._epoch_ms = epoch_ms
        self._now = 0.0
        self._alarms: list[_Alarm] = []
        self._number = 0

    def now(self) -> float:
        """Seconds since the beginning."""
        return self._now

    def moment(self) -> Moment:
        """The time on this clock and on the wall's."""
        return Moment(self._now, self._epoch_ms + round(self._now * 1000))

    def call_at(self, when: float, callback: Callable[[], object]) -> _Alarm:
        """Call ``callback`` once this clock shows ``when``; soon, if it does already."""
        alarm = _Alarm(when, self._number, callback)
        self._number += 1
        if when <= self._now:
            asyncio.get_running_loop().call_soon(_ring, alarm)
        else:
            heapq.heappush(self._alarms, alarm)
        return alarm

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due by then, in its order."""
        end = self._now + seconds
        await _others_have_their_turn()
        while self._alarms and self._alarms[0].at <= end:
            alarm = heapq.heappop(self._alarms)
            self._now = alarm.at
            _ring(alarm)
            await _others_have_their_turn()
        self._now = end


def _ring(alarm: _Alarm) -> None:
    if alarm.callback is not None:
        alarm.callback()


async def _others_have_their_turn() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
