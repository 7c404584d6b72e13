"""The client's clock: the event loop's in earnest, one that a test advances in the in-memory fake."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from manyheads.producers.deadline import Moment


class Alarm(Protocol):
    """A callback that is still to come."""

    def when(self) -> float:
        """When it comes, seconds of its clock."""

    def cancel(self) -> None:
        """It shall not come."""


class Clock(Protocol):
    """Tells the time, and calls back."""

    def now(self) -> float:
        """Seconds that never jump back."""

    def moment(self) -> Moment:
        """The time on this clock and on the wall's."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        """Call ``callback`` on the event loop once this clock shows ``when``."""


class LoopClock:
    """The clock of the running event loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def moment(self) -> Moment:
        return Moment(asyncio.get_running_loop().time(), time.time_ns() // 1_000_000)

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        return asyncio.get_running_loop().call_at(when, callback)
