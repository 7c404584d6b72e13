"""The client for threads: many at once, forks, Ctrl-C, garbage, the process's end. Over the pipeline in memory."""

import gc
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from manyheads.producers import Client, ClientClosed, DeadlineExceeded, ErrorCode, InvalidRequest, SyncClient
from manyheads.producers.testing import SILENCE, Asked, Fails, FakeNlu, Says, Silence

_METHODS = ("open", "close", "predict", "predict_for", "send", "answer")


def echo(asked: Asked) -> Says:
    return Says(asked.text)


def threads_of_clients() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "manyheads-client"]


@pytest.fixture
def client() -> Iterator[SyncClient]:
    with FakeNlu(echo).sync_client(timeout=60.0) as each:
        yield each
    assert threads_of_clients() == []


def test_many_threads_share_one_client(client: SyncClient) -> None:
    texts = [f"text {number}" for number in range(500)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: client.predict("acme-bank", text), texts))
    assert [answer.intent.name for answer in answers] == texts
    assert (client.counts.answered, client.counts.in_flight) == (500, 0)
    assert len(threads_of_clients()) == 1


def test_errors_are_raised_where_the_caller_waits() -> None:
    nlu = FakeNlu()
    nlu.on("acme-bank", Fails(ErrorCode.NO_ACTIVE_HEAD))
    nlu.on("slow-bank", SILENCE)
    with nlu.sync_client() as client:
        with pytest.raises(InvalidRequest):
            client.predict("acme-bank", " ")
        with pytest.raises(DeadlineExceeded):
            client.predict("slow-bank", "hello", timeout=0.1)
        results = client.predict_for(["acme-bank", "slow-bank"], "hello", timeout=0.1)
    codes = [result.error and result.error.code for result in results]
    assert codes == [ErrorCode.NO_ACTIVE_HEAD, ErrorCode.DEADLINE_EXCEEDED]


@pytest.mark.parametrize("ordered", [True, False])
def test_many_requests_have_one_result_each(client: SyncClient, ordered: bool) -> None:
    requests = [("acme-bank", f"text {number}") for number in range(2_000)]
    results = list(client.predict_many(requests, in_flight=64, ordered=ordered))
    assert sorted(result.index for result in results) == list(range(2_000))
    assert all(result.unwrap().intent.name == f"text {result.index}" for result in results)
    assert not ordered or [result.index for result in results] == list(range(2_000))


def test_requests_are_taken_in_the_callers_thread_and_no_more_than_may_be_in_flight(client: SyncClient) -> None:
    taken, most, given = 0, 0, 0

    def requests() -> Iterator[tuple[str, str]]:
        nonlocal taken, most
        for number in range(300):
            assert threading.current_thread() is threading.main_thread()
            taken += 1
            most = max(most, taken - given)
            yield "acme-bank", f"text {number}"

    for _ in client.predict_many(requests(), in_flight=10):
        given += 1
    assert (taken, given) == (300, 300)
    assert most <= 10


def test_a_request_is_sent_before_the_next_is_taken() -> None:
    nlu = FakeNlu(echo)

    def live() -> Iterator[tuple[str, str]]:
        for number in range(5):
            yield "acme-bank", f"text {number}"
            assert nlu.wait_until_asked(number + 1)[-1].text == f"text {number}"

    with nlu.sync_client(timeout=60.0) as client:
        assert [result.unwrap().intent.name for result in client.predict_many(live())] == [
            f"text {number}" for number in range(5)
        ]


def test_results_that_are_there_are_handed_out_before_another_request_is_taken(client: SyncClient) -> None:
    given: list[int] = []

    def live() -> Iterator[tuple[str, str]]:
        for number in range(5):
            for _ in range(10):  # round trips enough for the results of what was taken before to be there
                client.predict("acme-bank", "beside")
            yield "acme-bank", f"text {number}"
            assert given == list(range(number))[: len(given)]
            assert len(given) >= number

    for result in client.predict_many(live()):
        given.append(result.index)  # noqa: PERF401 - the iterable looks at it meanwhile
    assert given == list(range(5))


def test_closing_while_the_iterable_waits_tells_the_caller_after_the_results_before_it() -> None:
    nlu = FakeNlu(echo)
    client = nlu.sync_client(timeout=60.0).open()

    def requests() -> Iterator[tuple[str, str]]:
        yield "acme-bank", "text 0"
        nlu.wait_until_asked(1)
        closing = threading.Thread(target=client.close)
        closing.start()
        closing.join()
        yield "acme-bank", "text 1"

    seen: list[str] = []
    with pytest.raises(ClientClosed):
        seen.extend(result.unwrap().intent.name for result in client.predict_many(requests()))
    assert seen == ["text 0"]
    assert len(nlu.asked) == 1


def test_an_iterable_that_fails_does_so_after_the_results_before_it(client: SyncClient) -> None:
    def requests() -> Iterator[tuple[str, str]]:
        yield "acme-bank", "text 0"
        yield "acme-bank", "text 1"
        raise LookupError("the file ended early")

    seen: list[int] = []
    with pytest.raises(LookupError, match="ended early"):
        seen.extend(result.index for result in client.predict_many(requests()))
    assert seen == [0, 1]


def test_what_is_wrong_with_the_arguments_is_said_at_once(client: SyncClient) -> None:
    with pytest.raises(InvalidRequest, match="in_flight"):
        client.predict_many([], in_flight=0)
    with pytest.raises(InvalidRequest, match="timeout"):
        client.predict_many([], timeout=-1.0)


def test_leaving_the_loop_early_cancels_the_rest() -> None:
    with FakeNlu(lambda asked: echo(asked) if asked.text == "text 0" else SILENCE).sync_client(timeout=600) as client:
        results = client.predict_many((("acme-bank", f"text {number}") for number in range(50)), in_flight=8)
        assert next(results).index == 0
        results.close()  # type: ignore[attr-defined]  # as leaving a loop does
        client.predict("acme-bank", "text 0")  # what was cancelled before it is gone by now
        assert client.counts.in_flight == 0


def test_closing_tells_those_that_wait_in_other_threads() -> None:
    arrived = threading.Semaphore(0)

    def hold(asked: Asked) -> Silence:
        arrived.release()
        return SILENCE

    client = FakeNlu(hold).sync_client(timeout=600).open()
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(client.predict, "acme-bank", "hello") for _ in range(7)]
        many = pool.submit(lambda: list(client.predict_many([("acme-bank", "hello")])))
        for _ in range(8):
            assert arrived.acquire(timeout=60)
        closing = [threading.Thread(target=client.close, args=(0.0,)) for _ in range(3)]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
        for call in calls:
            with pytest.raises(ClientClosed):
                call.result()
        (result,) = many.result()
        assert isinstance(result.error, ClientClosed)
    assert threads_of_clients() == []


def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    client = FakeNlu(echo).sync_client()
    with pytest.raises(ClientClosed, match="with SyncClient"):
        client.predict("acme-bank", "hello")
    client.close()
    with client:
        pass
    with pytest.raises(ClientClosed):
        client.predict("acme-bank", "hello")
    with pytest.raises(ClientClosed, match="make another"):
        client.open()


def test_closing_in_one_thread_while_another_opens_ends_both_and_leaves_no_thread() -> None:
    for _ in range(50):
        client = FakeNlu(echo).sync_client()
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(client.open)
            client.close()
            outcome = opening.exception()
        assert outcome is None or isinstance(outcome, ClientClosed)
        client.close()  # which it was not if it had not begun to open
    assert threads_of_clients() == []


def test_a_client_that_does_not_open_leaves_no_thread() -> None:
    with pytest.raises(Exception, match="no ring"):
        FakeNlu(echo).sync_client(ring="fr").open()
    assert threads_of_clients() == []


def test_a_forgotten_client_ends_its_thread() -> None:
    client = FakeNlu(echo).sync_client().open()
    client.predict("acme-bank", "hello")
    del client
    gc.collect()
    assert threads_of_clients() == []


def test_methods_are_documented_as_those_of_the_asynchronous_client() -> None:
    for name in _METHODS:
        assert getattr(SyncClient, name).__doc__ == getattr(Client, name).__doc__
        assert "\n" in getattr(SyncClient, name).__doc__


# processes of their own


def python(code: str) -> subprocess.CompletedProcess[str]:
    prologue = """
        import os, sys, signal, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs in the background inherits it ignored
        from manyheads.producers import ClientClosed
        from manyheads.producers.testing import SILENCE, FakeNlu, Says
        nlu = FakeNlu(lambda asked: SILENCE if asked.text == "silence" else Says(asked.text))

        def interrupt_once_it_waits(client):
            def wait_and_interrupt():
                while client.counts.in_flight == 0:
                    pass
                os.kill(os.getpid(), signal.SIGINT)

            threading.Thread(target=wait_and_interrupt).start()
    """
    program = textwrap.dedent(prologue) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_fork_is_told_in_the_child_and_not_noticed_in_the_parent() -> None:
    done = python("""
        with nlu.sync_client(timeout=600) as client:
            client.predict("acme-bank", "before")
            results = client.predict_many([("acme-bank", str(number)) for number in range(10)], in_flight=2)
            next(results)
            child = os.fork()
            if child == 0:
                for attempt in (
                    lambda: client.predict("acme-bank", "in the child"),
                    lambda: client.predict_for(["acme-bank"], "in the child"),
                    lambda: client.predict_many([("acme-bank", "in the child")]),
                    lambda: next(results),
                ):
                    try:
                        attempt()
                    except ClientClosed as error:
                        assert "after the fork" in error.message and error.details["opened_by"] == os.getppid()
                    else:
                        sys.exit("no error")
                client.close()
                with nlu.sync_client() as another:
                    assert another.predict("acme-bank", "of the child").intent.name == "of the child"
                sys.exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert len(list(results)) == 9
            print(client.predict("acme-bank", "after").intent.name)
    """)
    assert (done.returncode, done.stdout) == (0, "after\n"), done.stderr


def test_a_client_that_was_made_before_a_fork_opens_after_it_in_both_processes() -> None:
    done = python("""
        client = nlu.sync_client()
        child = os.fork()
        with client:
            name = client.predict("acme-bank", "hello").intent.name
            # In one piece: both processes write to one pipe.
            os.write(1, f"{name} {nlu.asked[0].envelope.reply.correlation_id.hex()}\\n".encode())
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """)
    assert (done.returncode, done.stderr) == (0, "")
    words = done.stdout.split()
    assert words[::2] == ["hello", "hello"]
    assert words[1] != words[3], "a reply must never belong to two calls"


def test_a_client_that_a_fork_took_along_unopened_says_how_to_open_it() -> None:
    done = python("""
        client = nlu.client()
        child = os.fork()
        if child == 0:
            try:
                client.predict_many([])
            except ClientClosed as error:
                print(error.message)
            sys.exit(0)
        os.waitpid(child, 0)
    """)
    assert "not open yet" in done.stdout, done.stderr


async def test_a_thread_with_an_event_loop_of_its_own_may_use_it_too(client: SyncClient) -> None:
    # As the cells of a notebook do.
    results = client.predict_many([("acme-bank", "hello")])
    assert [result.unwrap().intent.name for result in results] == ["hello"]


def test_a_process_with_an_open_client_ends() -> None:
    done = python("""
        client = nlu.sync_client().open()
        print(client.predict("acme-bank", "hello").intent.name)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_ctrl_c_ends_the_waiting_and_nothing_else() -> None:
    done = python("""
        with nlu.sync_client(timeout=600) as client:
            interrupt_once_it_waits(client)
            try:
                client.predict("acme-bank", "silence")
            except KeyboardInterrupt:
                print(client.predict("acme-bank", "hello").intent.name, client.counts.in_flight)
    """)
    assert (done.returncode, done.stdout) == (0, "hello 0\n"), done.stderr


def test_ctrl_c_through_the_block_closes_the_client() -> None:
    done = python("""
        with nlu.sync_client(timeout=600) as client:
            interrupt_once_it_waits(client)
            list(client.predict_many([("acme-bank", "silence")]))
    """)
    assert done.returncode in (-signal.SIGINT, 130)
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
