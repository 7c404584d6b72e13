"""Ctrl-C, SIGTERM and a closed terminal: the first unwinds the command, so that its ``with`` blocks stop what runs.

Further ones are ignored meanwhile: they could only tear the stopping apart.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Handles the signals while it is entered, in the main thread. Use::

    with Interrupts() as interrupts, ExitStack() as resources, interrupts.unwinding():
        resources.enter_context(...)
    """

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._unwinding = False
        self._instead: Callable[[], object] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self._raise_if_received()

    @contextmanager
    def unwinding(self) -> Iterator[None]:
        """Around the work, within what has to be stopped after it: once it is left, nothing interrupts the stopping."""
        try:
            yield
        finally:
            self._unwinding = True

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """What ``main`` returns, run by asyncio; a signal cancels it, and is raised once it has ended."""

        async def cancelled_by_signal() -> T:
            loop = asyncio.get_running_loop()
            task = asyncio.current_task()
            assert task is not None
            self._instead = lambda: loop.call_soon_threadsafe(task.cancel)
            try:
                return await main
            finally:
                self._instead = None

        try:
            with asyncio.Runner() as runner:
                result = runner.run(cancelled_by_signal())
        except asyncio.CancelledError:
            self._raise_if_received()
            raise
        self._raise_if_received()
        return result

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._received is not None:
            return
        self._received = signal.Signals(number)
        if self._instead is not None:
            self._instead()
        elif not self._unwinding:
            self._raise_if_received()

    def _raise_if_received(self) -> None:
        if self._received is signal.SIGINT:
            raise KeyboardInterrupt
        if self._received is not None:
            raise SystemExit(128 + self._received)
