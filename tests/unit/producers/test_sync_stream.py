"""What carries requests to the event loop: all of them, in their order, and the loop is woken where it waits only."""

import asyncio
import threading
from collections.abc import Callable

from manyheads.producers.loop_thread import Errand, LoopThread
from manyheads.producers.stream import RequestLike
from manyheads.producers.sync_stream import _End, _Requested

PATIENCE_S = 60.0


class CountingThread(LoopThread):
    """Counts how often it is called."""

    called = 0

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        self.called += 1
        super().call_soon(callback, *arguments)


async def _nothing() -> None:
    await asyncio.sleep(0)


async def _all_of(requested: _Requested, begun: threading.Event) -> list[RequestLike]:
    begun.set()
    return [each async for each in requested]


def test_a_busy_event_loop_is_woken_once_for_all_that_comes_meanwhile() -> None:
    thread, begun, busy, free = CountingThread("test"), threading.Event(), threading.Event(), threading.Event()

    def keep_busy() -> None:
        busy.set()
        free.wait(PATIENCE_S)

    requests: list[RequestLike] = [("acme-bank", f"text {number}") for number in range(1_000)]
    requested = _Requested(thread)
    taking = Errand(_all_of(requested, begun))
    thread.begin(taking)
    assert begun.wait(PATIENCE_S)
    thread.call_soon(keep_busy)
    assert busy.wait(PATIENCE_S)
    before = thread.called
    for each in [*requests, _End.OF_REQUESTS]:
        requested.put(each)
    assert thread.called == before + 1
    free.set()
    assert taking.result() == requests
    thread.stop(_nothing)


def test_every_request_arrives_however_the_threads_take_turns() -> None:
    thread, begun = LoopThread("test"), threading.Event()
    requests: list[RequestLike] = [("acme-bank", f"text {number}") for number in range(50_000)]
    requested = _Requested(thread)
    taking = Errand(_all_of(requested, begun))
    thread.begin(taking)
    for each in [*requests, _End.OF_REQUESTS]:
        requested.put(each)
    assert taking.result() == requests
    thread.stop(_nothing)
