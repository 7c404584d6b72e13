"""The event loop's thread: whoever gives it work while it ends is told, and never waits for ever."""

import asyncio
import threading

import pytest

from manyheads.producers.loop_thread import LoopThread
from manyheads.topics.errors import ClientClosed

ROUNDS = 300
CALLERS = 4
PATIENCE_S = 30.0


async def _nothing() -> None:
    await asyncio.sleep(0)


def _run_and_stop(thread: LoopThread, together: threading.Barrier, ended: list[str]) -> None:
    together.wait()
    try:
        thread.run(_nothing())
        ended.append("done")
    except ClientClosed:
        ended.append("refused")
    thread.stop(_nothing)


def test_work_that_comes_while_the_thread_ends_is_done_or_refused() -> None:
    for _ in range(ROUNDS):
        ended: list[str] = []
        work = (LoopThread("test"), threading.Barrier(CALLERS), ended)
        callers = [threading.Thread(target=_run_and_stop, args=work, daemon=True) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(PATIENCE_S)
        assert len(ended) == CALLERS, "somebody waits for ever"


def test_a_thread_that_has_ended_refuses_work() -> None:
    thread = LoopThread("test")
    thread.stop(_nothing)
    with pytest.raises(ClientClosed):
        thread.run(_nothing())
    with pytest.raises(ClientClosed):
        thread.call_soon(print)
