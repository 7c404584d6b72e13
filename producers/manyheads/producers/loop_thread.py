"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

from manyheads.topics.errors import ClientClosed, ErrorCode

_T = TypeVar("_T")
_FAREWELL_S = 1.0
_JOIN_S = 10.0
"""A thread that will not end by then ends with its process: it is a daemon."""


class LoopThread:
    """Runs coroutines for threads that wait. Started at once; belongs to the process that made it."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._stopping = False
        self._ended = False
        """nothing more is begun"""
        self._lock = threading.RLock()
        """may be taken twice: a forgotten client's finaliser runs wherever the collector does"""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_of_this_process(self) -> bool:
        """Whether the process was not forked since: a fork takes no other thread along."""
        return self._pid == os.getpid()

    def check(self) -> None:
        """Raises ClientClosed after a fork."""
        if not self.is_of_this_process:
            raise ClientClosed(
                ErrorCode.CLIENT_CLOSED,
                f"this client was opened by process {self._pid} and this is its fork, {os.getpid()}: a fork takes "
                "neither threads nor connections along, so open a client in each process, after the fork",
                opened_by=self._pid,
            )

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """The coroutine's result. Whatever ends the waiting, such as Ctrl-C, cancels it.

        Raises:
            ClientClosed: the process was forked, or the thread ended before the coroutine.
        """
        errand = Errand(coroutine)
        try:
            self.begin(errand)
            return errand.result()
        except BaseException:
            self.cancel(errand)
            raise

    def begin(self, errand: "Errand[Any]") -> None:
        """Let it run. Raises ClientClosed after a fork, or if the thread has ended."""
        try:
            self.call_soon(errand.start)
        except ClientClosed:
            errand.forget()
            raise

    def cancel(self, errand: "Errand[Any]") -> None:
        """Nobody waits for it any more; nothing if it is done."""
        if self.is_of_this_process and not self.loop.is_closed():
            with suppress(RuntimeError):  # it was closed in this moment
                self.loop.call_soon_threadsafe(errand.abandon)

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        """Call back in the thread. Raises ClientClosed after a fork, or if the thread has ended."""
        self.check()
        with self._lock:
            if self._ended:
                raise _closed()
            self.loop.call_soon_threadsafe(callback, *arguments)

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a last coroutine, end the thread, and wait for that unless this is the thread itself.

        Nothing after a fork; if it was stopped before, it only waits.
        """
        if not self.is_of_this_process:
            return
        with self._lock:
            if not self._stopping:
                self._stopping = True
                self.call_soon(lambda: self.loop.create_task(self._end(last())))
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_S)

    async def _end(self, last: Coroutine[Any, Any, None]) -> None:
        try:
            await last
        finally:
            self.loop.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            with self._lock:
                self._ended = True
            # What was begun until now may still wait to start: then it is a task, which is told like the others.
            self.loop.run_until_complete(asyncio.sleep(0))
            # Callers of a client that is closed are being told so; whatever else there is has had its time.
            if left := asyncio.all_tasks(self.loop):
                self.loop.run_until_complete(asyncio.wait(left, timeout=_FAREWELL_S))
            for task in left:
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.wait(left))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            self._ended = True
            self.loop.close()


class Errand(Generic[_T]):
    """A coroutine on its way to an event loop in another thread, there, and back.

    Unlike ``asyncio.run_coroutine_threadsafe`` it can be cancelled from its first moment: Ctrl-C may come at any.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, _T]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[_T] | None = None
        self._abandoned = False
        self._result: concurrent.futures.Future[_T] = concurrent.futures.Future()

    def start(self) -> None:
        """In the loop's thread: begin."""
        if self._abandoned:
            self.forget()
            return
        self._task = asyncio.get_running_loop().create_task(self._coroutine)
        self._task.add_done_callback(self._finished)

    def abandon(self) -> None:
        """In the loop's thread: end early, or never begin."""
        self._abandoned = True
        if self._task is not None:
            self._task.cancel()

    def forget(self) -> None:
        """It will never begin."""
        self._coroutine.close()

    def result(self) -> _T:
        """Wait for the result. Raises ClientClosed if it was cancelled."""
        try:
            return self._result.result()
        except concurrent.futures.CancelledError:
            raise _closed() from None

    def _finished(self, task: "asyncio.Task[_T]") -> None:
        if task.cancelled():
            self._result.cancel()
        elif (error := task.exception()) is not None:
            self._result.set_exception(error)
        else:
            self._result.set_result(task.result())


def _closed() -> ClientClosed:
    return ClientClosed(ErrorCode.CLIENT_CLOSED, "the client was closed before an answer came: open another")
