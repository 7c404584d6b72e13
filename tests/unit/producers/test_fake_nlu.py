"""The pipeline in memory itself: scripts that fail, and tests without a coroutine."""

import asyncio
import inspect
import re
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from manyheads.producers import Answer, Client, ErrorCode, InternalError, SyncClient
from manyheads.producers import testing as the_testing
from manyheads.producers.testing import SILENCE, Asked, FakeNlu, Says, Script

PATIENCE_S = 60.0


# scripts that fail


def _looks_up(asked: Asked) -> Script:
    return {"known": Says("x")}[asked.text]


def _asserts(asked: Asked) -> Script:
    if asked.text != "known":
        raise AssertionError("an unexpected text")
    return Says("x")


def _fails_the_test(asked: Asked) -> Script:
    if asked.text != "known":
        pytest.fail("an unexpected text")  # no Exception, as pytest has it
    return Says("x")


def _says_no_script(asked: Asked) -> Script:
    return Says("x") if asked.text == "known" else "hello"  # type: ignore[return-value]


def _has_a_bad_delay(asked: Asked) -> Script:
    return Says("x") if asked.text == "known" else Says("x", delay="soon")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("script", "named"),
    [
        (_looks_up, r"the script raised KeyError\('unknown'\)"),
        (_asserts, r"the script raised AssertionError\('an unexpected text'\)"),
        (_fails_the_test, "an unexpected text"),
        (_says_no_script, "the script said 'hello'"),
        (_has_a_bad_delay, "the script does not fit the request"),
    ],
)
async def test_a_script_that_fails_ends_the_call_that_it_was_for_alone(
    script: Callable[[Asked], Script], named: str
) -> None:
    nlu = FakeNlu(script)
    async with nlu.client(timeout=PATIENCE_S) as client:
        with pytest.raises(InternalError, match=named) as raised:
            await client.predict("acme-bank", "unknown")
        assert raised.value.code is ErrorCode.INTERNAL
        assert (await client.predict("acme-bank", "known")).intent.name == "x"


async def test_a_script_that_fails_for_one_tenant_is_nobody_elses_error() -> None:
    def script(asked: Asked) -> Script:
        return {"acme-bank": Says("x")}[asked.tenant]

    async with FakeNlu(script).client(timeout=PATIENCE_S) as client:
        failed, answered = await client.predict_for(["globex-air", "acme-bank"], "hello")
    assert isinstance(failed.error, InternalError)
    assert answered.unwrap().intent.name == "x"


# tests without a coroutine


def test_a_thread_waits_until_it_was_asked_and_replies_from_there() -> None:
    nlu = FakeNlu(lambda asked: SILENCE)
    with nlu.sync_client(timeout=PATIENCE_S) as client, ThreadPoolExecutor() as pool:
        calls = [pool.submit(client.predict, "acme-bank", text) for text in ("one", "two")]
        for asked in nlu.wait_until_asked(2):
            nlu.reply(asked, Says(asked.text))
        assert [call.result().intent.name for call in calls] == ["one", "two"]


def test_a_ticket_is_answered_from_a_thread_without_an_event_loop() -> None:
    nlu = FakeNlu(lambda asked: SILENCE)
    with nlu.sync_client(timeout=PATIENCE_S) as client:
        ticket = client.send("acme-bank", "hello")
        (asked,) = nlu.wait_until_asked(1)
        nlu.reply(asked, Says("balance"))
        assert client.answer(ticket).intent.name == "balance"


def test_a_reply_is_told_to_each_client_in_its_own_thread() -> None:
    nlu = FakeNlu(lambda asked: SILENCE)
    with nlu.sync_client(timeout=PATIENCE_S) as one, nlu.sync_client(timeout=PATIENCE_S) as other:
        with ThreadPoolExecutor() as pool:
            call = pool.submit(one.predict, "acme-bank", "hello")
            (asked,) = nlu.wait_until_asked(1)
            nlu.reply(asked, Says("balance"))
            assert call.result().intent.name == "balance"
            again = pool.submit(other.predict, "acme-bank", "hello")
            nlu.reply(nlu.wait_until_asked(2)[1], Says("balance"))
            again.result()
        assert (one.counts.answered, other.counts.answered) == (1, 1)
        assert other.counts.foreign_replies == 1


async def test_a_coroutine_waits_for_what_threads_ask() -> None:
    nlu = FakeNlu(lambda asked: SILENCE)

    def ask(client: SyncClient) -> Answer:
        return client.predict("acme-bank", "hello")

    with nlu.sync_client(timeout=PATIENCE_S) as client:
        call = asyncio.create_task(asyncio.to_thread(ask, client))
        (asked,) = await nlu.has_been_asked(1)
        nlu.reply(asked, Says("balance"))
        assert (await call).intent.name == "balance"


def test_waiting_in_vain_says_how_many_came() -> None:
    nlu = FakeNlu(lambda asked: Says("x"))
    with nlu.sync_client(timeout=PATIENCE_S) as client:
        client.predict("acme-bank", "hello")
        with pytest.raises(TimeoutError, match="1 requests came within 0 s, not 2"):
            nlu.wait_until_asked(2, timeout=0.0)
        assert len(nlu.wait_until_asked(1)) == 1


# answers that come later


def test_a_delayed_answer_comes_once_though_the_client_that_asked_is_closed() -> None:
    nlu = FakeNlu(lambda asked: Says("late", delay=0.05))
    with nlu.sync_client() as client:
        ticket = client.send("acme-bank", "hello", timeout=PATIENCE_S)
    with nlu.sync_client() as one, nlu.sync_client() as other, ThreadPoolExecutor() as pool:
        readers = [one, other, one, other]
        answers = list(pool.map(lambda each: each.answer(ticket, timeout=PATIENCE_S), readers))
    assert [answer.intent.name for answer in answers] == ["late"] * 4
    assert len(nlu.replies.records) == 1


def test_a_delayed_answer_comes_on_another_event_loop() -> None:
    nlu = FakeNlu(lambda asked: Says("late", delay=0.05))

    async def within(use: Callable[[Client], object]) -> object:
        async with nlu.client(timeout=PATIENCE_S) as client:
            result = use(client)
            assert asyncio.iscoroutine(result)
            return await result

    ticket = str(asyncio.run(within(lambda client: client.send("acme-bank", "hello"))))
    answer = asyncio.run(within(lambda client: client.answer(ticket)))
    assert isinstance(answer, Answer)
    assert answer.intent.name == "late"


# what is documented


def test_the_examples_of_the_fakes_methods_run() -> None:
    names = vars(the_testing) | {"ThreadPoolExecutor": ThreadPoolExecutor}
    examples = [
        textwrap.dedent(found[1])
        for method in (FakeNlu, *vars(FakeNlu).values())
        for found in re.finditer(r"::\n\n((?: {4}.*\n|\n)+)", f"{inspect.getdoc(method)}\n")
    ]
    assert examples
    for example in examples:
        exec(example, dict(names))
    assert not [thread for thread in threading.enumerate() if thread.name == "manyheads-client"]
