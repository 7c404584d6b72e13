"""One thread that starts every child process, for as long as this process lives.

Linux sends a child its parent-death signal when the *thread* that started it ends, so no short-lived thread may start
one. And a KeyboardInterrupt only ever strikes the main thread, so a start that runs here is never torn in two.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class _Spawner:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, start: Callable[[], T]) -> T:
        future: Future[T] = Future()

        def order() -> None:
            try:
                future.set_result(start())
            except Exception as error:
                future.set_exception(error)

        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="manyheads-spawner", daemon=True)
                self._thread.start()
        self._orders.put(order)
        return future.result()

    def _run(self) -> None:
        while True:
            self._orders.get()()


_SPAWNER = _Spawner()


def spawn(start: Callable[[], T]) -> T:
    """What ``start`` returns or raises, called in the spawner's thread."""
    return _SPAWNER.call(start)
