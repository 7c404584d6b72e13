"""Whether a process is alive and ready, from what its parts say of themselves."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

STUCK_AFTER_S = 60.0
"""A loop that has not turned for so long is stuck: the longest compute is far below it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What one part says of itself."""

    ready: bool
    detail: str


class Health:
    """What the parts of a process last said. Thread-safe.

    A process is *live* while its loop turns; before its first turn it starts, which is bounded elsewhere. It is *ready*
    once every part that has said something is.

    Args:
        stuck_after_s: seconds without a :meth:`beat` after which the process is no longer live.
        clock: seconds that never go back.
    """

    def __init__(self, stuck_after_s: float = STUCK_AFTER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._stuck_after_s = stuck_after_s
        self._clock = clock
        self._lock = Lock()
        self._conditions: dict[str, Condition] = {}
        self._last_turn: float | None = None

    def set(self, name: str, ready: bool, detail: str = "") -> None:
        """The part ``name`` is ready, or waits for what ``detail`` says."""
        with self._lock:
            self._conditions[name] = Condition(ready, detail)

    def beat(self) -> None:
        """The loop turns."""
        self._last_turn = self._clock()

    def live(self, now: float | None = None) -> bool:
        """Whether the loop turned lately; ``now`` is a time of the clock, None the present."""
        last = self._last_turn
        return last is None or (self._clock() if now is None else now) - last < self._stuck_after_s

    @property
    def ready(self) -> bool:
        """Whether the loop turns and every part is ready. A process of which nothing was said is not."""
        conditions = self._said()
        return bool(conditions) and all(each.ready for each in conditions.values()) and self.live()

    @property
    def waits_for(self) -> str:
        """Why it is not ready, part by part; empty if every part is."""
        return "; ".join(f"{name}: {each.detail}" for name, each in self._said().items() if not each.ready)

    def as_json(self) -> dict[str, object]:
        """What ``/healthz`` and ``/readyz`` answer with."""
        last = self._last_turn
        return {
            "live": self.live(),
            "ready": self.ready,
            "seconds_since_turn": None if last is None else round(self._clock() - last, 3),
            "parts": {name: {"ready": each.ready, "detail": each.detail} for name, each in self._said().items()},
        }

    def _said(self) -> dict[str, Condition]:
        with self._lock:
            return dict(self._conditions)
