"""The client for threads over a real broker: its connections, and what a fork does to them."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from manyheads.infra.settings import KafkaSettings
from manyheads.producers import ClientClosed, SyncClient
from manyheads.topics.names import RingName
from tests.broker.sdk_responder import Responder

_FORKS = """
import os, sys
from manyheads.producers import ClientClosed, SyncClient

servers, ring = sys.argv[1:]
with SyncClient(servers, ring=ring, timeout=60.0) as client:
    client.predict("acme-bank", "before")
    child = os.fork()
    if child == 0:
        try:
            client.predict("acme-bank", "in the child")
        except ClientClosed:
            client.close()
        with SyncClient(servers, ring=ring, timeout=60.0) as another:
            print(another.predict("acme-bank", "child").intent.name, flush=True)
        sys.exit(0)
    status = os.waitpid(child, 0)[1]
    results = client.predict_many([("acme-bank", f"text {number}") for number in range(200)])
    assert [result.unwrap().intent.name for result in results] == [f"text {number}" for number in range(200)]
    print(client.predict("acme-bank", "parent").intent.name, os.waitstatus_to_exitcode(status))
"""


_FORKS_BEFORE_IT_OPENS = """
import os, sys
from manyheads.producers import SyncClient

servers, ring = sys.argv[1:]
client = SyncClient(servers, ring=ring, timeout=60.0)
children = []
for _ in range(3):
    children.append(os.fork())
    if children[-1] == 0:
        children.clear()
        break
with client:
    requests = [("acme-bank", f"{os.getpid()} text {number}") for number in range(100)]
    results = [result.unwrap().intent.name for result in client.predict_many(requests)]
    assert results == [text for _, text in requests], results
    assert client.counts.duplicate_replies == client.counts.late_replies == 0, client.counts
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


async def test_many_threads_share_one_client(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    def ask() -> list[str]:
        with SyncClient(kafka_settings, ring=ring, timeout=60.0) as client, ThreadPoolExecutor(16) as pool:
            texts = [f"text {number}" for number in range(400)]
            return [answer.intent.name for answer in pool.map(lambda text: client.predict("acme-bank", text), texts)]

    assert await asyncio.to_thread(ask) == [f"text {number}" for number in range(400)]


async def test_a_request_of_a_live_iterable_is_sent_before_the_next_is_taken(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    loop = asyncio.get_running_loop()

    def live() -> Iterator[tuple[str, str]]:
        for number in range(3):
            yield "acme-bank", f"text {number}"
            asyncio.run_coroutine_threadsafe(responder.has_seen(number + 1), loop).result(60.0)

    def ask() -> list[str]:
        with SyncClient(kafka_settings, ring=ring, timeout=60.0) as client:
            return [result.unwrap().intent.name for result in client.predict_many(live())]

    assert await asyncio.to_thread(ask) == [f"text {number}" for number in range(3)]


async def test_a_fork_costs_the_parent_nothing(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _FORKS, kafka_settings.bootstrap_servers, ring), stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    assert (process.returncode, out.decode()) == (0, "child\nparent 0\n"), err.decode()
    assert err.decode() == ""


async def test_a_client_that_was_made_before_a_fork_opens_in_every_process(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _FORKS_BEFORE_IT_OPENS, kafka_settings.bootstrap_servers, ring), stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    assert (process.returncode, out.decode(), err.decode()) == (0, "", "")
    assert len(responder.seen) == len({asked.envelope.reply.correlation_id for asked in responder.seen}) == 400


async def test_closing_in_one_thread_ends_the_opening_in_another(kafka_settings: KafkaSettings, ring: RingName) -> None:
    for milliseconds in (0, 5, 10, 20, 50):
        client = SyncClient(kafka_settings, ring=ring, timeout=600.0)
        opening = asyncio.create_task(asyncio.to_thread(client.open))
        await asyncio.sleep(milliseconds / 1_000)
        await asyncio.to_thread(client.close, 0.0)
        (outcome,) = await asyncio.gather(opening, return_exceptions=True)
        assert outcome is client or isinstance(outcome, ClientClosed), outcome
        client.close(0.0)  # which it was not if it had not begun to open
    assert not [thread for thread in threading.enumerate() if thread.name == "manyheads-client"]
