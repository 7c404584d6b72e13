"""One deadline on two clocks: the client's, which never jumps, and the wall's, which other machines can read."""

import math
from dataclasses import dataclass
from typing import Self

from manyheads.topics.errors import DeadlineExceeded, ErrorCode, InvalidRequest

MAX_TIMEOUT_S = 24 * 3600.0
"""As long as a request topic keeps its records."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The same moment on both clocks."""

    now: float
    """seconds of the client's clock"""
    now_ms: int
    """milliseconds since the epoch"""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When an answer becomes worthless."""

    at: float
    """seconds of the client's clock"""
    at_ms: int
    """milliseconds since the epoch"""

    @classmethod
    def after(cls, timeout: float, moment: Moment) -> Self:
        """The deadline ``timeout`` seconds from now. Raises InvalidRequest(invalid_argument)."""
        seconds = checked_timeout(timeout)
        return cls(moment.now + seconds, moment.now_ms + math.ceil(seconds * 1000))

    @classmethod
    def at_epoch_ms(cls, deadline_ms: int, moment: Moment) -> Self:
        """The deadline at a time of the wall clock.

        Raises:
            DeadlineExceeded: it has passed.
            InvalidRequest: invalid_argument, if it is more than a day away: were seconds meant to be milliseconds?
        """
        seconds = (deadline_ms - moment.now_ms) / 1000
        if seconds <= 0:
            raise DeadlineExceeded(
                ErrorCode.DEADLINE_EXCEEDED,
                f"the deadline passed {-seconds:.3f} s before the request was made: nothing was sent",
                late_ms=round(-seconds * 1000),
            )
        return cls(moment.now + checked_timeout(seconds), deadline_ms)


def checked_timeout(timeout: float) -> float:
    """The timeout, if it is one. Raises InvalidRequest(invalid_argument)."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MAX_TIMEOUT_S:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"{timeout!r:.40} is no timeout: it is a number of seconds above 0, at most {MAX_TIMEOUT_S:,.0f} (a day)",
        )
    return float(timeout)
