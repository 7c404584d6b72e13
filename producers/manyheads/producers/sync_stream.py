"""``predict_many`` for threads: requests are taken, and results handed out, in the caller's."""

import asyncio
import contextlib
import queue
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from enum import Enum

from manyheads.producers.answer import Result
from manyheads.producers.client import Client
from manyheads.producers.loop_thread import Errand, LoopThread
from manyheads.producers.options import checked_count
from manyheads.producers.stream import RequestLike
from manyheads.topics.errors import ClientClosed, ErrorCode


class _End(Enum):
    OF_REQUESTS = "the iterable is exhausted"
    OF_RESULTS = "every result is there"


_Came = Result | Exception | _End


def results_of(
    thread: LoopThread,
    client: Client,
    requests: Iterable[RequestLike],
    *,
    in_flight: int,
    ordered: bool,
    limit: float | None,
) -> Iterator[Result]:
    """The result of each request. See ``SyncClient.predict_many``; ``limit`` is its ``timeout``.

    A request is sent as soon as it was taken, and results that are there are handed out before another is taken. While
    the iterable makes the caller's thread wait for one, nothing can be handed out: a result that comes meanwhile is
    handed out after that. Where the next request depends on the result before it, ``in_flight`` must be 1.
    """
    thread.check()
    bound = checked_count("in_flight", in_flight)
    requested = _Requested(thread)
    # Not a coroutine's own: what is wrong with the arguments is raised here, not in the first next().
    results = client.predict_many(requested, in_flight=bound, ordered=ordered, timeout=limit)
    return _handed_over(thread, iter(requests), requested, _Pump(results), bound)


class _Requested(AsyncIterator[RequestLike]):
    """Carries requests from the caller's thread to the event loop.

    To wake the loop costs more than all the rest, so that is done only where it waits for a request: while it is at
    work on some, it finds by itself what came meanwhile.
    """

    def __init__(self, thread: LoopThread) -> None:
        self._thread = thread
        self._came: deque[RequestLike | _End] = deque()
        self._awaited = False
        self._woken = asyncio.Event()

    def put(self, each: RequestLike | _End) -> None:
        """In the caller's thread: the next request, or their end."""
        self._came.append(each)
        if self._awaited:
            self._awaited = False
            # Where the thread has ended, the pump says so, behind the results that there were.
            with contextlib.suppress(ClientClosed):
                self._thread.call_soon(self._woken.set)

    async def __anext__(self) -> RequestLike:
        while not self._came:
            self._woken.clear()
            self._awaited = True
            if not self._came:  # looked at again: it may have come before the other thread could see this
                await self._woken.wait()
        each = self._came.popleft()
        if isinstance(each, _End):
            raise StopAsyncIteration
        return each


class _Pump:
    """Carries results from the event loop to the caller's thread."""

    def __init__(self, results: AsyncGenerator[Result, None]) -> None:
        self._results = results
        self._came: queue.SimpleQueue[_Came] = queue.SimpleQueue()

    async def run(self) -> None:
        try:
            async with contextlib.aclosing(self._results) as results:
                async for result in results:
                    self._came.put(result)
        except asyncio.CancelledError:  # by a caller who has left, or with the client's thread
            self._came.put(ClientClosed(ErrorCode.CLIENT_CLOSED, "the client was closed: open another"))
            raise
        except Exception as error:  # it is the caller's
            self._came.put(error)
        else:
            self._came.put(_End.OF_RESULTS)

    def take(self, *, wait: bool) -> _Came | None:
        """The next that has come; None if there is nothing and it shall not ``wait``."""
        try:
            return self._came.get(block=wait)
        except queue.Empty:
            return None


def _handed_over(
    thread: LoopThread, requests: Iterator[RequestLike], requested: _Requested, pump: _Pump, bound: int
) -> Iterator[Result]:
    pumping = Errand(pump.run())
    thread.begin(pumping)
    failure: Exception | None = None
    open_requests, exhausted = 0, False
    try:
        while True:
            thread.check()  # the caller may have forked since the last result: no more would come in the child
            came = pump.take(wait=exhausted or open_requests >= bound)
            if isinstance(came, Result):
                open_requests -= 1
                yield came
            elif isinstance(came, Exception):
                raise came
            elif came is not None:
                if failure is not None:
                    raise failure
                return
            else:
                request: RequestLike | _End = _End.OF_REQUESTS
                try:
                    request = next(requests)
                    open_requests += 1
                except StopIteration:
                    exhausted = True
                except Exception as error:  # raised above, once the results of what is in flight are out
                    exhausted, failure = True, error
                requested.put(request)
    finally:
        thread.cancel(pumping)
