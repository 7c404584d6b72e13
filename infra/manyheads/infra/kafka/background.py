"""Calls into librdkafka that may not return."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundCall(Generic[T]):
    """A call in a daemon thread of its own.

    Some of librdkafka's blocking calls disregard their timeout: a commit while no broker is there takes 45 s, and
    sending offsets to a transaction never returns once the group's coordinator was replaced (librdkafka issues 5456
    and 5511). The stage's own thread must go on; a call that is stuck keeps its thread and its client until the end
    of the process.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._done = threading.Event()
        self._value: T | None = None
        self._error: BaseException | None = None
        self._since = time.monotonic()
        threading.Thread(target=self._run, name="kafka-call", daemon=True).start()

    @property
    def age_s(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._since

    def wait(self, timeout_s: float) -> bool:
        """Whether it has returned, within the time."""
        return self._done.wait(timeout_s)

    def result(self) -> T:
        """What it returned or raised; to be asked for once it has returned."""
        assert self._done.is_set()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:  # raised again by result()
            self._error = error
        finally:
            self._done.set()
