"""When nearly everything fails, a worker stops rather than drain its topic into dead letters."""

from collections import deque
from dataclasses import dataclass

from manyheads.topics.errors import SYSTEMIC_CODES, ErrorCode, InternalError


@dataclass(frozen=True, slots=True)
class HaltPolicy:
    """Halt once a ``share`` of the last ``window`` outcomes, at least ``minimum`` of them, are systemic failures.

    The offsets of systemic failures with no other outcome after them stay uncommitted for ``grace_s``: should the
    worker halt, they are processed again by its successor, and a lone bad record still leaves the topic.
    """

    window: int = 200
    minimum: int = 50
    share: float = 0.95
    grace_s: float = 5.0

    def __post_init__(self) -> None:
        if not (1 <= self.minimum <= self.window and 0 < self.share <= 1 and self.grace_s >= 0):
            raise ValueError(f"{self} needs 1 <= minimum <= window, 0 < share <= 1 and grace_s >= 0")


class FailureWindow:
    """The latest outcomes, judged by a :class:`HaltPolicy`."""

    def __init__(self, policy: HaltPolicy) -> None:
        self._policy = policy
        self._latest: deque[bool] = deque(maxlen=policy.window)
        self._failures = 0
        self.run = 0
        """counts up at each outcome that is no systemic failure, and so names the run of failures since"""

    def add(self, code: ErrorCode | None) -> None:
        """One more outcome: None for a success.

        Raises:
            InternalError: worker_halted, when too many of the latest failed systemically.
        """
        systemic = code in SYSTEMIC_CODES
        if len(self._latest) == self._policy.window:
            self._failures -= self._latest[0]
        self._latest.append(systemic)
        self._failures += systemic
        if not systemic:
            self.run += 1
        elif len(self._latest) >= self._policy.minimum and self._failures >= self._policy.share * len(self._latest):
            raise InternalError(
                ErrorCode.WORKER_HALTED,
                f"{self._failures} of the last {len(self._latest)} records failed, the latest with {code}; the worker "
                "stops and leaves them in the topic: repair the cause (see the dead letters), then start it again",
                failures=self._failures,
                records=len(self._latest),
                code=str(code),
            )
