"""Many requests, bounded in flight: what ``predict_many`` does."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from enum import Enum

from manyheads.producers.answer import Answer, PredictRequest, Result
from manyheads.producers.calls import Call, Finish, Outcome
from manyheads.topics.errors import ClientClosed, ErrorCode, InvalidRequest, ManyheadsError

RequestLike = PredictRequest | tuple[str, str]
Requests = Iterable[RequestLike] | AsyncIterable[RequestLike]
Begin = Callable[[PredictRequest, Finish], Awaitable[Call]]


class Window:
    """Which results may be handed out, and whether another request may start.

    Args:
        size: requests that are started and whose results are not handed out, at most.
        ordered: hand results out in the order in which their requests started.
    """

    def __init__(self, size: int, *, ordered: bool) -> None:
        self._size = size
        self._ordered = ordered
        self._started = 0
        self._handed_out = 0
        self._results: OrderedDict[int, Result] = OrderedDict()

    @property
    def has_room(self) -> bool:
        """Whether another request may start."""
        return self._started - self._handed_out < self._size

    @property
    def is_empty(self) -> bool:
        """Whether every request's result was handed out."""
        return self._started == self._handed_out

    def start(self) -> int:
        """The index of the next request."""
        self._started += 1
        return self._started - 1

    def finish(self, result: Result) -> None:
        """The result of a request that started."""
        self._results[result.index] = result

    def take(self) -> Result | None:
        """The next result to hand out; None if there is none yet."""
        if self._ordered:
            result = self._results.pop(self._handed_out, None)
        else:
            result = self._results.popitem(last=False)[1] if self._results else None
        if result is not None:
            self._handed_out += 1
        return result


class _Nothing(Enum):
    YET = "a request may come later"
    MORE = "the iterable is exhausted"


class _Source:
    """The requests of an iterable of either kind, taken without waiting; ``on_change`` tells when to look again."""

    def __init__(self, requests: Requests, on_change: Callable[[], None]) -> None:
        self._iterator: Iterator[RequestLike] | AsyncIterator[RequestLike] = (
            aiter(requests) if isinstance(requests, AsyncIterable) else iter(requests)
        )
        self._on_change = on_change
        self._coming: asyncio.Task[RequestLike] | None = None

    def take(self) -> PredictRequest | _Nothing:
        """The next request. Raises what the iterable raises, and InvalidRequest if it holds something else."""
        try:
            if isinstance(self._iterator, Iterator):
                return _request(next(self._iterator))
            if self._coming is None:
                self._coming = asyncio.create_task(_next_of(self._iterator))
                self._coming.add_done_callback(lambda _: self._on_change())
            if not self._coming.done():
                return _Nothing.YET
            came, self._coming = self._coming, None
            return _request(came.result())
        except (StopIteration, StopAsyncIteration):
            return _Nothing.MORE

    async def close(self) -> None:
        """Ask for no more."""
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.wait([self._coming])
            if not self._coming.cancelled():
                self._coming.exception()  # nobody wants it any more


async def results_of(
    requests: Requests, begin: Begin, abandon: Callable[[Call], None], *, in_flight: int, ordered: bool
) -> AsyncGenerator[Result, None]:
    """The result of each request. See ``Client.predict_many``."""
    changed = asyncio.Event()
    window = Window(in_flight, ordered=ordered)
    source = _Source(requests, changed.set)
    calls: dict[int, Call] = {}
    end: BaseException | _Nothing | None = None

    def finisher(index: int, request: PredictRequest) -> Finish:
        def finish(outcome: Outcome) -> None:
            calls.pop(index, None)
            window.finish(result_of(index, request, outcome))
            changed.set()

        return finish

    try:
        while True:
            changed.clear()
            while end is None and window.has_room:
                try:
                    request = source.take()
                except Exception as error:  # raised below, once the results of what is in flight are out
                    end = error
                    break
                if isinstance(request, _Nothing):
                    end = request if request is _Nothing.MORE else None
                    break
                index = window.start()
                finish = finisher(index, request)
                try:
                    calls[index] = await begin(request, finish)
                except ClientClosed as error:
                    end = error
                    finish(error)
                except ManyheadsError as error:
                    finish(error)
            if (result := window.take()) is not None:
                yield result
            elif end is not None and window.is_empty:
                break
            else:
                await changed.wait()
    finally:
        for call in tuple(calls.values()):
            abandon(call)
        await source.close()
    if isinstance(end, BaseException):
        raise end


async def _next_of(iterator: AsyncIterator[RequestLike]) -> RequestLike:
    return await anext(iterator)


def _request(item: RequestLike) -> PredictRequest:
    match item:
        case PredictRequest():
            return item
        case (tenant, text):
            return PredictRequest(tenant, text)
    raise InvalidRequest(
        ErrorCode.INVALID_ARGUMENT,
        f"predict_many takes (tenant, text) or PredictRequest, not {type(item).__name__}",
        got=type(item).__name__,
    )


def result_of(index: int, request: PredictRequest, outcome: Outcome) -> Result:
    """The outcome of the request at ``index``."""
    if isinstance(outcome, Answer):
        return Result(index, request, answer=outcome)
    return Result(index, request, error=outcome)
