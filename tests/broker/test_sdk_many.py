"""predict_many over a real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Client, ClientClosed, ErrorCode, PredictRequest
from manyheads.topics.names import RingName
from tests.broker.sdk_responder import Asked, Responder, failure, prediction


async def utterances(count: int) -> AsyncIterator[tuple[str, str]]:
    for number in range(count):
        yield "acme-bank", f"text {number}"


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("ordered", [True, False])
async def test_every_request_has_one_result(
    client: Client, responder: Responder, ordered: bool, asynchronous: bool
) -> None:
    requests = utterances(1_500) if asynchronous else [("acme-bank", f"text {number}") for number in range(1_500)]
    results = [result async for result in client.predict_many(requests, ordered=ordered)]
    indices = [result.index for result in results]
    assert (indices if ordered else sorted(indices)) == list(range(1_500))
    assert all(result.unwrap().intent.name == f"text {result.index}" for result in results)


async def test_errors_stand_where_their_requests_stood(client: Client, responder: Responder) -> None:
    responder.answer = lambda asked: [
        failure("no_active_head", "activate one") if "no head" in asked.text else prediction(asked.text)
    ]
    requests: list[PredictRequest | tuple[str, str]] = [
        ("acme-bank", "fine"),
        ("acme-bank", " "),
        ("Not A Tenant", "hello"),
        ("acme-bank", "no head"),
        PredictRequest("acme-bank", "hello", ring="no-such-ring"),
        PredictRequest("acme-bank", "hello", timeout=-1.0),
        PredictRequest("acme-bank", "fine too", timeout=20.0),
    ]
    codes = [result.error and result.error.code async for result in client.predict_many(requests)]
    assert codes == [
        None,
        ErrorCode.TEXT_EMPTY,
        ErrorCode.INVALID_NAME,
        ErrorCode.NO_ACTIVE_HEAD,
        ErrorCode.UNKNOWN_RING,
        ErrorCode.INVALID_ARGUMENT,
        None,
    ]


async def test_what_nobody_answers_is_an_error_like_any_other(client: Client, responder: Responder) -> None:
    responder.answer = lambda asked: [] if asked.text == "text 3" else [prediction(asked.text)]
    results = [result async for result in client.predict_many(utterances(8), timeout=1.5)]
    assert [result.index for result in results if result.error is not None] == [3]
    assert results[3].error is not None
    assert results[3].error.code is ErrorCode.DEADLINE_EXCEEDED


async def test_leaving_the_loop_frees_what_was_in_flight(client: Client, responder: Responder) -> None:
    held: list[Asked] = []

    def hold_all_but_the_first(asked: Asked) -> list[object]:
        held.append(asked)
        return [prediction(asked.text)] if asked.text == "text 0" else []

    responder.answer = hold_all_but_the_first  # type: ignore[assignment] # replies or none
    async with aclosing(client.predict_many(utterances(10_000), in_flight=64)) as results:
        async for result in results:
            assert result.index == 0
            break
    assert client.counts.in_flight == 0
    assert client.counts.opened <= 65
    responder.answer = lambda asked: [prediction(asked.text)]
    assert (await client.predict("acme-bank", "still works")).intent.name == "still works"


async def test_closing_the_client_ends_the_iteration(kafka_settings: KafkaSettings, ring: RingName) -> None:
    client = await Client(kafka_settings, ring=ring).open()
    results = client.predict_many(utterances(1_000), in_flight=10)
    first = asyncio.ensure_future(anext(results))
    await asyncio.sleep(0)
    await client.close(timeout=0.0)
    left = [await first]

    async def take_the_rest() -> None:
        async for result in results:
            left.append(result)  # noqa: PERF401 - what came before the error is what the test is about

    with pytest.raises(ClientClosed):
        await take_the_rest()
    assert {result.error.code for result in left if result.error is not None} == {ErrorCode.CLIENT_CLOSED}
    assert 1 <= len(left) <= 11
