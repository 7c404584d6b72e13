"""One suite, two pipelines: the client over the one in memory that users' own tests have, and over a real broker."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from manyheads.producers import (
    Answer,
    Client,
    ClientClosed,
    ClientOptions,
    DeadlineExceeded,
    Entity,
    ErrorCode,
    InvalidRequest,
    Overloaded,
    PredictRequest,
    RoutingError,
)
from manyheads.producers.testing import SILENCE, Asked, Fails, Says, Script
from tests.contract.sdk_worlds import MemoryWorld, World, broker_world, echo

UNKNOWN = Fails(ErrorCode.UNKNOWN_TENANT, "there is no such tenant in this ring")


@pytest.fixture(params=["memory", "broker"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    settings, (ring, _) = request.getfixturevalue("kafka_settings"), request.getfixturevalue("ring_with_topics")
    async with broker_world(settings, ring) as each:
        yield each


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    async with world.client(timeout=60.0) as each:
        yield each


def silent(asked: Asked) -> Sequence[Script]:
    return [SILENCE]


async def utterances(count: int) -> AsyncIterator[tuple[str, str]]:
    for number in range(count):
        yield "acme-bank", f"text {number}"


# one text


async def test_a_text_gets_its_answer(client: Client, world: World) -> None:
    before_ms = time.time_ns() // 1_000_000
    answer = await client.predict("acme-bank", "move 40 euros", timeout=50.0)
    assert (answer.intent.name, answer.intent.confidence) == ("move 40 euros@acme-bank", 0.875)
    assert answer.entities == (Entity("first-word", 0, 4, "move", 1.0),)
    assert not answer.truncated
    assert answer.latency_ms >= 0
    (asked,) = await world.asked(1)
    assert asked.tenant == answer.tenant == "acme-bank"
    assert asked.envelope.reply.topic == "nlu.replies"
    assert asked.envelope.deadline_ms is not None
    assert before_ms + 50_000 <= asked.envelope.deadline_ms <= time.time_ns() // 1_000_000 + 50_001


async def test_deadline_and_trace_of_the_caller_are_passed_on(client: Client, world: World) -> None:
    deadline_ms = time.time_ns() // 1_000_000 + 55_000
    parent = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
    await client.predict("acme-bank", "hello", deadline_ms=deadline_ms, traceparent=parent)
    (asked,) = await world.asked(1)
    assert asked.envelope.deadline_ms == deadline_ms
    assert asked.envelope.traceparent is not None
    assert asked.envelope.traceparent.split("-")[1] == parent.split("-")[1]


async def test_a_failure_is_raised_as_its_error(client: Client, world: World) -> None:
    world.answer(lambda asked: [UNKNOWN])
    with pytest.raises(RoutingError, match="no such tenant") as raised:
        await client.predict("acme-bank", "hello")
    assert raised.value.code is ErrorCode.UNKNOWN_TENANT


async def test_second_replies_are_ignored(client: Client, world: World) -> None:
    world.answer(lambda asked: [*echo(asked), Fails(ErrorCode.INTERNAL), Says("another")])
    answers = [await client.predict("acme-bank", f"text {number}") for number in range(20)]
    assert [answer.intent.name for answer in answers] == [f"text {number}@acme-bank" for number in range(20)]
    world.answer(echo)
    await client.predict("acme-bank", "one more, behind all duplicates")
    assert client.counts.duplicate_replies == 40


async def test_answers_in_any_order_find_their_calls(client: Client, world: World) -> None:
    world.answer(silent)
    texts = [f"text {number}" for number in range(300)]
    calls = [asyncio.create_task(client.predict("acme-bank", text)) for text in texts]
    asked = await world.asked(300)
    assert client.counts.in_flight == 300
    for each in reversed(asked):
        await world.reply(each, Says(each.text))
    assert [answer.intent.name for answer in await asyncio.gather(*calls)] == texts
    assert (client.counts.answered, client.counts.in_flight) == (300, 0)


async def test_no_answer_in_time_says_how_far_the_request_came(client: Client, world: World) -> None:
    world.answer(silent)
    with pytest.raises(DeadlineExceeded, match="Kafka accepted the request") as raised:
        await client.predict("acme-bank", "nobody is there", timeout=1.0)
    assert f"encoder worker of ring '{world.ring}'" in raised.value.message
    assert raised.value.details["phase"] == "accepted"


async def test_a_reply_after_the_deadline_is_ignored(client: Client, world: World) -> None:
    world.answer(silent)
    with pytest.raises(DeadlineExceeded):
        await client.predict("acme-bank", "too late", timeout=0.3)
    (asked,) = await world.asked(1)
    await world.reply(asked, Says("too late"))
    world.answer(echo)
    assert (await client.predict("acme-bank", "in time")).intent.name == "in time@acme-bank"
    assert (client.counts.expired, client.counts.late_replies) == (1, 1)


async def test_cancelling_frees_the_slot_at_once(world: World) -> None:
    world.answer(lambda asked: [SILENCE] if asked.text == "cancelled" else echo(asked))
    async with world.client(max_in_flight=1, timeout=60.0) as client:
        cancelled = asyncio.create_task(client.predict("acme-bank", "cancelled"))
        (asked,) = await world.asked(1)
        waiting = asyncio.create_task(client.predict("acme-bank", "waiting"))
        await asyncio.sleep(0)
        assert (client.counts.in_flight, client.counts.waiting) == (1, 1)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert (await waiting).intent.name == "waiting@acme-bank"
        await world.reply(asked, Says("cancelled"))
        await client.predict("acme-bank", "behind the late reply")
        assert (client.counts.in_flight, client.counts.late_replies) == (0, 1)


async def test_too_many_waiting_calls_are_turned_away(world: World) -> None:
    world.answer(silent)
    async with world.client(max_in_flight=2, options=ClientOptions(max_waiting=1)) as client:
        # The third waits for a slot until its time is over, which is before the others give theirs up.
        timeouts = (3.0, 3.0, 0.5, 0.5, 0.5)
        calls = [asyncio.create_task(client.predict("acme-bank", "hello", timeout=each)) for each in timeouts]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert Counter(map(type, outcomes)) == {DeadlineExceeded: 3, Overloaded: 2}
        phases = Counter(each.details.get("phase") for each in outcomes if isinstance(each, DeadlineExceeded))
        assert phases["waiting"] == 1


async def test_without_a_queue_a_full_client_refuses_at_once(world: World) -> None:
    world.answer(silent)
    async with world.client(max_in_flight=1, options=ClientOptions(max_waiting=0)) as client:
        first = asyncio.create_task(client.predict("acme-bank", "first"))
        await world.asked(1)
        with pytest.raises(Overloaded):
            await client.predict("acme-bank", "second")
        first.cancel()
    assert client.counts.overloaded == 1


@pytest.mark.parametrize(
    ("tenant", "text", "code"),
    [
        ("acme-bank", "", ErrorCode.TEXT_EMPTY),
        ("acme-bank", " \t\n", ErrorCode.TEXT_EMPTY),
        ("acme-bank", "x" * 1_000_000, ErrorCode.TEXT_TOO_LONG),
        ("acme-bank", "lone \ud800 surrogate", ErrorCode.TEXT_NOT_UNICODE),
        ("acme-bank", "bell \x07", ErrorCode.TEXT_CONTROL_CHARACTER),
        ("", "hello", ErrorCode.INVALID_NAME),
        ("Acme", "hello", ErrorCode.INVALID_NAME),
        ("../x", "hello", ErrorCode.INVALID_NAME),
    ],
)
async def test_what_cannot_be_used_is_not_sent(tenant: str, text: str, code: ErrorCode) -> None:
    async with MemoryWorld().client() as client:  # it is refused before there is a difference
        with pytest.raises(InvalidRequest) as raised:
            await client.predict(tenant, text)
        assert raised.value.code is code
        assert client.counts.opened == 0


async def test_an_unknown_ring_names_the_known_ones(client: Client, world: World) -> None:
    with pytest.raises(RoutingError) as raised:
        await client.predict("acme-bank", "hello", ring="no-such-ring")
    assert raised.value.code is ErrorCode.UNKNOWN_RING
    assert world.ring in raised.value.message


async def test_a_client_of_an_unknown_ring_does_not_open(world: World) -> None:
    with pytest.raises(RoutingError, match="no ring 'no-such-ring'"):
        async with world.client(ring="no-such-ring"):
            pass


# one text for many tenants


async def test_one_text_for_many_tenants_is_sent_once(client: Client, world: World) -> None:
    tenants = [f"tenant-{number}" for number in range(50)]
    results = await client.predict_for(tenants, "move 40 euros")
    assert [result.index for result in results] == list(range(50))
    assert [result.unwrap().tenant for result in results] == tenants
    assert [result.unwrap().intent.name for result in results] == [f"move 40 euros@{each}" for each in tenants]
    assert [result.request.text for result in results] == ["move 40 euros"] * 50
    asked = await world.asked(50)
    assert world.records() == 1
    assert [each.tenant for each in asked] == tenants
    assert len({each.envelope.reply.correlation_id for each in asked}) == 50
    assert (client.counts.answered, client.counts.in_flight) == (50, 0)


async def test_an_error_of_one_tenant_is_its_result_and_nobody_elses(client: Client, world: World) -> None:
    scripts: dict[str, list[Script]] = {"b": [UNKNOWN], "c": [SILENCE]}
    world.answer(lambda asked: scripts.get(asked.tenant) or echo(asked))
    results = await client.predict_for(["a", "Not A Tenant", "b", "c", "a"], "hello", timeout=2.0)
    assert [result.error and result.error.code for result in results] == [
        None,
        ErrorCode.INVALID_NAME,
        ErrorCode.UNKNOWN_TENANT,
        ErrorCode.DEADLINE_EXCEEDED,
        None,
    ]
    assert [result.request.tenant for result in results] == ["a", "Not A Tenant", "b", "c", "a"]
    assert client.counts.in_flight == 0


async def test_more_tenants_than_a_record_names_travel_in_several(client: Client, world: World) -> None:
    tenants = [f"tenant-{number}" for number in range(1_500)]
    results = await client.predict_for(tenants, "hello")
    assert [result.unwrap().tenant for result in results] == tenants
    assert world.records() == 2


async def test_an_old_worker_that_knows_one_tenant_alone_fails_all(client: Client, world: World) -> None:
    old = Fails(ErrorCode.UNKNOWN_SCHEMA_VERSION, "upgrade the encoder workers")
    world.answer(lambda asked: [old] if asked.tenant == "a" else [SILENCE])
    results = await client.predict_for(["a", "b", "c"], "hello")
    assert {result.error and result.error.code for result in results} == {ErrorCode.UNKNOWN_SCHEMA_VERSION}
    assert client.counts.in_flight == 0


async def test_cancelling_many_tenants_frees_all_their_slots(client: Client, world: World) -> None:
    world.answer(silent)
    calls = asyncio.create_task(client.predict_for(["a", "b", "c"], "hello"))
    await world.asked(3)
    calls.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls
    assert client.counts.in_flight == 0


async def test_no_tenant_no_result_and_a_bad_text_is_raised(client: Client, world: World) -> None:
    assert await client.predict_for([], "hello") == ()
    with pytest.raises(InvalidRequest):
        await client.predict_for(["a", "b"], " ")
    with pytest.raises(RoutingError):
        await client.predict_for(["a", "b"], "hello", ring="no-such-ring")
    assert client.counts.opened == 0


# tickets


async def test_what_one_client_sent_another_reads(client: Client, world: World) -> None:
    tickets = [await client.send("acme-bank", f"text {number}") for number in range(3)]
    assert client.counts.in_flight == 0
    await world.asked(3)
    async with world.client(timeout=60.0) as reader:
        for number in (2, 0, 1):
            answer = await reader.answer(str(tickets[number]), text=f"text {number}")
            assert answer.intent.name == f"text {number}@acme-bank"
            assert (answer.entities[0].text, answer.latency_ms >= 0) == ("text", True)
    again = await client.answer(tickets[0])
    assert (again.entities[0].text, again.entities[0].start, again.entities[0].end) == ("", 0, 4)
    assert (client.counts.opened, client.counts.late_replies, client.counts.duplicate_replies) == (3, 0, 0)


async def test_the_holder_of_a_ticket_waits_for_the_answer(client: Client, world: World) -> None:
    world.answer(silent)
    ticket = await client.send("acme-bank", "hello", timeout=600.0)
    with pytest.raises(DeadlineExceeded, match="ask again") as raised:
        await client.answer(ticket, timeout=0.3)
    assert raised.value.details["phase"] == "pending"
    (asked,) = await world.asked(1)
    waiting = asyncio.create_task(client.answer(ticket))
    await world.reply(asked, Says("in the end"))
    assert (await waiting).intent.name == "in the end"


async def test_an_error_is_the_answer_to_its_ticket(client: Client, world: World) -> None:
    world.answer(lambda asked: [UNKNOWN])
    ticket = await client.send("acme-bank", "hello")
    with pytest.raises(RoutingError, match="no such tenant"):
        await client.answer(ticket)


async def test_a_ticket_that_nobody_answered_in_time_says_so(client: Client, world: World) -> None:
    world.answer(silent)
    ticket = await client.send("acme-bank", "hello", timeout=1.0)
    with pytest.raises(DeadlineExceeded, match="nobody answered before its deadline") as raised:
        await client.answer(ticket)
    assert raised.value.details["phase"] == "accepted"


async def test_what_is_no_ticket_is_refused(client: Client) -> None:
    ticket = await client.send("acme-bank", "hello")
    for text in ("", "mh1-", "mh2-" + str(ticket)[4:], str(ticket)[:-1], str(ticket).swapcase(), str(ticket) + "é"):
        with pytest.raises(InvalidRequest, match="no ticket"):
            await client.answer(text)
    with pytest.raises(InvalidRequest, match="of 5 characters and this one has 7"):
        await client.answer(ticket, text="goodbye")
    with pytest.raises(InvalidRequest):
        await client.send("acme-bank", " ")


# many texts


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("ordered", [True, False])
async def test_every_request_has_one_result(client: Client, ordered: bool, asynchronous: bool) -> None:
    requests = utterances(1_000) if asynchronous else [("acme-bank", f"text {number}") for number in range(1_000)]
    results = [result async for result in client.predict_many(requests, ordered=ordered)]
    indices = [result.index for result in results]
    assert (indices if ordered else sorted(indices)) == list(range(1_000))
    assert all(result.unwrap().intent.name == f"text {result.index}@acme-bank" for result in results)


async def test_errors_stand_where_their_requests_stood(client: Client, world: World) -> None:
    scripts: dict[str, list[Script]] = {"no head": [Fails(ErrorCode.NO_ACTIVE_HEAD)], "silence": [SILENCE]}
    world.answer(lambda asked: scripts.get(asked.text) or echo(asked))
    requests: list[PredictRequest | tuple[str, str]] = [
        ("acme-bank", "fine"),
        ("acme-bank", " "),
        ("Not A Tenant", "hello"),
        ("acme-bank", "no head"),
        PredictRequest("acme-bank", "hello", ring="no-such-ring"),
        PredictRequest("acme-bank", "hello", timeout=-1.0),
        PredictRequest("acme-bank", "silence", timeout=1.0),
        PredictRequest("acme-bank", "fine too", timeout=50.0),
    ]
    codes = [result.error and result.error.code async for result in client.predict_many(requests)]
    assert codes == [
        None,
        ErrorCode.TEXT_EMPTY,
        ErrorCode.INVALID_NAME,
        ErrorCode.NO_ACTIVE_HEAD,
        ErrorCode.UNKNOWN_RING,
        ErrorCode.INVALID_ARGUMENT,
        ErrorCode.DEADLINE_EXCEEDED,
        None,
    ]


async def test_leaving_the_loop_frees_what_was_in_flight(client: Client, world: World) -> None:
    world.answer(lambda asked: echo(asked) if asked.text == "text 0" else [SILENCE])
    async with aclosing(client.predict_many(utterances(10_000), in_flight=64)) as results:
        async for result in results:
            assert result.index == 0
            break
    assert client.counts.in_flight == 0
    assert client.counts.opened <= 65
    world.answer(echo)
    assert (await client.predict("acme-bank", "still works")).intent.name == "still works@acme-bank"


async def test_closing_the_client_ends_the_iteration(world: World) -> None:
    world.answer(silent)
    client = await world.client().open()
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


# a client's life


async def test_closing_waits_for_answers_that_are_still_to_come(world: World) -> None:
    world.answer(silent)
    client = await world.client(timeout=60.0).open()
    call = asyncio.create_task(client.predict("acme-bank", "hello"))
    (asked,) = await world.asked(1)
    closing = asyncio.create_task(client.close(timeout=60.0))
    await asyncio.sleep(0)
    with pytest.raises(ClientClosed):
        await client.predict("acme-bank", "too late to begin")
    await world.reply(asked, Says("in time"))
    await closing
    assert (await call).intent.name == "in time"


async def test_the_least_patient_close_ends_what_has_no_answer_by_then(world: World) -> None:
    world.answer(silent)
    client = await world.client(timeout=600.0).open()
    calls = [asyncio.create_task(client.predict("acme-bank", "hello")) for _ in range(3)]
    await asyncio.sleep(0)
    patient = asyncio.create_task(client.close(timeout=600.0))
    await asyncio.sleep(0)
    await asyncio.gather(client.close(timeout=0.0), patient)
    for call in calls:
        with pytest.raises(ClientClosed, match="before an answer came"):
            await call
    await client.close()


async def test_leaving_by_an_exception_does_not_wait(world: World) -> None:
    world.answer(silent)
    calls: list[asyncio.Task[Answer]] = []

    async def fail_with_a_call_in_flight() -> None:
        async with world.client(timeout=600.0) as client:
            calls.append(asyncio.create_task(client.predict("acme-bank", "hello")))
            await asyncio.sleep(0)
            raise LookupError

    with pytest.raises(LookupError):
        await fail_with_a_call_in_flight()
    with pytest.raises(ClientClosed):
        await calls[0]


async def test_a_client_is_opened_once(world: World) -> None:
    async with world.client() as client:
        with pytest.raises(ClientClosed, match="make another"):
            await client.open()
    with pytest.raises(ClientClosed, match="make another"):
        await client.open()


async def in_another_loop(attempt: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """What a thread's own event loop makes of it."""
    await asyncio.to_thread(lambda: asyncio.run(attempt()))


async def test_another_event_loop_is_told_so_at_once(client: Client) -> None:
    ticket = await client.send("acme-bank", "hello")

    async def many() -> None:
        async for _ in client.predict_many([("acme-bank", "hello")]):
            pass

    attempts: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: client.predict("acme-bank", "hello"),
        lambda: client.predict_for(["acme-bank"], "hello"),
        lambda: client.send("acme-bank", "hello"),
        lambda: client.answer(ticket),
        many,
        client.close,
    ]
    for attempt in attempts:
        with pytest.raises(ClientClosed, match="belongs to the event loop that opened it"):
            await in_another_loop(attempt)
    assert (await client.predict("acme-bank", "here")).intent.name == "here@acme-bank"
    await client.close()
    await in_another_loop(client.close)  # nothing is left to close


@pytest.mark.parametrize("milliseconds", [0, 2, 5, 8, 10, 15, 20, 50])
async def test_closing_ends_an_opening_that_is_under_way(world: World, milliseconds: int) -> None:
    tasks = asyncio.all_tasks()
    client = world.client(timeout=600.0)
    opening = asyncio.create_task(client.open())
    await asyncio.sleep(milliseconds / 1_000)
    await client.close(timeout=0.0)
    (outcome,) = await asyncio.gather(opening, return_exceptions=True)
    assert outcome is client or isinstance(outcome, ClientClosed), outcome
    assert asyncio.all_tasks() == tasks
    with pytest.raises(ClientClosed):
        await client.predict("acme-bank", "hello")
