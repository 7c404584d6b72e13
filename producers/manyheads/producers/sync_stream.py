"""``predict_many`` for threads: requests are taken, and results handed out, in the caller's."""

import asyncio
import contextlib
import queue
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
    """The result of each request. See ``SyncClient.predict_many``; ``limit`` is its ``timeout``."""
    thread.check()
    bound = checked_count("in_flight", in_flight)
    requested: asyncio.Queue[RequestLike | _End] = asyncio.Queue()
    # Not a coroutine's own: what is wrong with the arguments is raised here, not in the first next().
    results = client.predict_many(_until_end(requested), in_flight=bound, ordered=ordered, timeout=limit)
    return _handed_over(thread, iter(requests), requested, _Pump(results), bound)


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

    def take(self) -> Iterator[_Came]:
        """What has come; waits for the first."""
        yield self._came.get()
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._came.get_nowait()


def _handed_over(
    thread: LoopThread,
    requests: Iterator[RequestLike],
    requested: asyncio.Queue[RequestLike | _End],
    pump: _Pump,
    bound: int,
) -> Iterator[Result]:
    pumping = Errand(pump.run())
    thread.begin(pumping)
    failure: Exception | None = None
    open_requests, exhausted = 0, False
    try:
        while True:
            batch: list[RequestLike | _End] = []
            while not exhausted and open_requests < bound:
                try:
                    batch.append(next(requests))
                    open_requests += 1
                except StopIteration:
                    exhausted = True
                except Exception as error:  # raised below, once the results of what is in flight are out
                    exhausted, failure = True, error
            if exhausted:
                batch.append(_End.OF_REQUESTS)
            thread.call_soon(_put_all, requested, batch)
            for came in pump.take():
                if isinstance(came, Result):
                    open_requests -= 1
                    yield came
                elif isinstance(came, Exception):
                    raise came
                else:
                    if failure is not None:
                        raise failure
                    return
    finally:
        thread.cancel(pumping)


def _put_all(requested: "asyncio.Queue[RequestLike | _End]", batch: "list[RequestLike | _End]") -> None:
    for each in batch:
        requested.put_nowait(each)


async def _until_end(requested: "asyncio.Queue[RequestLike | _End]") -> AsyncIterator[RequestLike]:
    while not isinstance(each := await requested.get(), _End):
        yield each
