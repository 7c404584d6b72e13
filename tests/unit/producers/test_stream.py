"""predict_many without Kafka: bounded, lazy, in order or as completed, and clean when left early."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.producers.answer import PredictRequest, Result
from manyheads.producers.calls import Call, CallTable, Finish
from manyheads.producers.stream import Requests, Window, results_of
from manyheads.topics.errors import ClientClosed, ErrorCode, InvalidRequest, Overloaded
from tests.unit.producers.calls import opened_call

FAILED = Overloaded(ErrorCode.OVERLOADED, "any error will do as an outcome")


class Pipeline:
    """Stands where a client is: keeps calls open until it is told to finish them."""

    def __init__(self) -> None:
        self.table = CallTable(b"pipeline", 1_000, 0)
        self.open: dict[str, Call] = {}
        self.most_open = 0
        self.refuse: dict[str, Exception] = {}

    async def begin(self, request: PredictRequest, finish: Finish) -> Call:
        if request.text in self.refuse:
            raise self.refuse[request.text]
        call = opened_call(self.table, finish=finish)
        self.open[request.text] = call
        self.most_open = max(self.most_open, len(self.open))
        return call

    def finish(self, text: str) -> None:
        call = self.open.pop(text)
        self.table.settle(call)
        call.finish(FAILED)

    def abandon(self, call: Call) -> None:
        assert self.table.settle(call)
        self.open = {text: each for text, each in self.open.items() if each is not call}

    def results(self, requests: Requests, in_flight: int = 4, *, ordered: bool = True) -> AsyncIterator[Result]:
        return results_of(requests, self.begin, self.abandon, in_flight=in_flight, ordered=ordered)


class Requested:
    """An endless iterable that knows how much was taken from it."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        while True:
            self.taken += 1
            yield "acme-bank", f"text {self.taken - 1}"


async def until_idle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("ordered", "expected"), [(True, [0, 1, 2, 3]), (False, [3, 1, 0, 2])])
async def test_results_come_in_order_or_as_completed(ordered: bool, expected: list[int]) -> None:
    pipeline = Pipeline()
    seen: list[int] = []

    async def consume() -> None:
        async for result in pipeline.results([("t", str(i)) for i in range(4)], ordered=ordered):
            assert result.request.text == str(result.index)
            seen.append(result.index)

    consumer = asyncio.create_task(consume())
    await until_idle()
    for text in ("3", "1", "0", "2"):
        pipeline.finish(text)
        await until_idle()
    await consumer
    assert seen == expected


@pytest.mark.parametrize("ordered", [True, False])
async def test_no_more_is_taken_than_may_be_in_flight(ordered: bool) -> None:
    pipeline, requests = Pipeline(), Requested()
    async with aclosing(pipeline.results(requests, in_flight=3, ordered=ordered)) as results:  # type: ignore[type-var]
        for expected in range(50):
            waiting = asyncio.ensure_future(anext(results))
            await until_idle()
            pipeline.finish(f"text {expected}")
            assert (await waiting).index == expected
            assert requests.taken <= expected + 4
    assert pipeline.most_open == 3


async def test_results_that_wait_for_an_earlier_one_count_as_in_flight() -> None:
    pipeline, requests = Pipeline(), Requested()
    results = pipeline.results(requests, in_flight=3)
    first = asyncio.ensure_future(anext(results))
    await until_idle()
    pipeline.finish("text 1")
    pipeline.finish("text 2")
    await until_idle()
    assert requests.taken == 3
    pipeline.finish("text 0")
    assert (await first).index == 0
    await results.aclose()  # type: ignore[attr-defined]


async def test_leaving_early_abandons_what_is_open() -> None:
    pipeline = Pipeline()
    async with aclosing(pipeline.results(Requested(), in_flight=5)) as results:  # type: ignore[type-var]
        first = asyncio.ensure_future(anext(results))
        await until_idle()
        pipeline.finish("text 0")
        await first
    assert pipeline.open == {}
    assert len(pipeline.table) == 0


async def test_a_plain_break_abandons_as_well() -> None:
    pipeline = Pipeline()

    async def consume() -> None:
        async for _ in pipeline.results(Requested(), in_flight=5):
            break

    consumer = asyncio.create_task(consume())
    await until_idle()
    pipeline.finish("text 0")
    await consumer
    await until_idle()
    assert pipeline.open == {}


async def test_errors_are_values_and_end_nothing() -> None:
    pipeline = Pipeline()
    pipeline.refuse["1"] = InvalidRequest(ErrorCode.TEXT_EMPTY, "refused before it is sent")
    results = pipeline.results([("t", "0"), ("t", "1"), ("t", "2")])
    collected = asyncio.create_task(_collect(results))
    await until_idle()
    for text in ("0", "2"):
        pipeline.finish(text)
    codes = [result.error.code for result in await collected if result.error is not None]
    assert codes == [ErrorCode.OVERLOADED, ErrorCode.TEXT_EMPTY, ErrorCode.OVERLOADED]


async def test_a_closed_client_ends_it_after_the_results_that_are_left() -> None:
    pipeline, requests = Pipeline(), Requested()
    pipeline.refuse["text 2"] = ClientClosed(ErrorCode.CLIENT_CLOSED, "closed")
    seen: list[ErrorCode] = []

    async def consume() -> None:
        async for result in pipeline.results(requests):
            assert result.error is not None
            seen.append(result.error.code)

    consumer = asyncio.create_task(consume())
    await until_idle()
    pipeline.finish("text 0")
    pipeline.finish("text 1")
    with pytest.raises(ClientClosed):
        await consumer
    assert seen == [ErrorCode.OVERLOADED, ErrorCode.OVERLOADED, ErrorCode.CLIENT_CLOSED]
    assert requests.taken == 3


async def test_an_iterable_that_fails_fails_after_the_results_that_are_left() -> None:
    pipeline = Pipeline()

    def requests() -> Iterator[tuple[str, str]]:
        yield "t", "0"
        raise OSError("the file ends here")

    results = pipeline.results(requests())
    first = asyncio.ensure_future(anext(results))
    await until_idle()
    pipeline.finish("0")
    assert (await first).index == 0
    with pytest.raises(OSError, match="ends here"):
        await anext(results)


@pytest.mark.parametrize("item", ["text", ("t",), ("t", "x", "y"), None, 7])
async def test_something_else_in_the_iterable_is_said(item: object) -> None:
    with pytest.raises(InvalidRequest, match="PredictRequest"):
        await _collect(Pipeline().results([item]))  # type: ignore[list-item]


@pytest.mark.parametrize("ordered", [True, False])
async def test_nothing_in_nothing_out(ordered: bool) -> None:
    assert await _collect(Pipeline().results([], ordered=ordered)) == []


async def test_results_do_not_wait_for_a_slow_asynchronous_iterable() -> None:
    pipeline = Pipeline()
    more = asyncio.Event()

    async def requests() -> AsyncIterator[tuple[str, str]]:
        yield "t", "0"
        await more.wait()
        yield "t", "1"

    results = pipeline.results(requests())
    first = asyncio.ensure_future(anext(results))
    await until_idle()
    pipeline.finish("0")
    assert (await first).index == 0
    second = asyncio.ensure_future(anext(results))
    more.set()
    await until_idle()
    pipeline.finish("1")
    assert (await second).index == 1
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def test_leaving_early_stops_asking_an_asynchronous_iterable() -> None:
    pipeline = Pipeline()
    ended = asyncio.Event()

    async def requests() -> AsyncIterator[tuple[str, str]]:
        try:
            yield "t", "0"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with aclosing(pipeline.results(requests())) as results:  # type: ignore[type-var]
        first = asyncio.ensure_future(anext(results))
        await until_idle()
        pipeline.finish("0")
        await first
    assert ended.is_set()
    assert pipeline.open == {}


@given(st.integers(1, 5), st.booleans(), st.data())
def test_a_window_hands_out_each_result_once(size: int, ordered: bool, data: st.DataObject) -> None:
    window = Window(size, ordered=ordered)
    running: list[int] = []
    finished: list[int] = []
    handed_out: list[int] = []
    for _ in range(30):
        if window.has_room and data.draw(st.booleans()):
            running.append(window.start())
        elif running:
            index = running.pop(data.draw(st.integers(0, len(running) - 1)))
            window.finish(Result(index, PredictRequest("t", "x"), error=FAILED))
            finished.append(index)
        elif (result := window.take()) is not None:
            handed_out.append(result.index)
        assert len(running) + len(finished) - len(handed_out) <= size
    while running:
        index = running.pop()
        window.finish(Result(index, PredictRequest("t", "x"), error=FAILED))
        finished.append(index)
    while (result := window.take()) is not None:
        handed_out.append(result.index)
    assert handed_out == (sorted(finished) if ordered else finished)
    assert window.is_empty


async def _collect(results: AsyncIterator[Result]) -> list[Result]:
    return [result async for result in results]
