"""The client for threads over a real broker: its connections, and what a fork does to them."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

from manyheads.infra.settings import KafkaSettings
from manyheads.producers import SyncClient
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


async def test_many_threads_share_one_client(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    def ask() -> list[str]:
        with SyncClient(kafka_settings, ring=ring, timeout=60.0) as client, ThreadPoolExecutor(16) as pool:
            texts = [f"text {number}" for number in range(400)]
            return [answer.intent.name for answer in pool.map(lambda text: client.predict("acme-bank", text), texts)]

    assert await asyncio.to_thread(ask) == [f"text {number}" for number in range(400)]


async def test_a_fork_costs_the_parent_nothing(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _FORKS, kafka_settings.bootstrap_servers, ring), stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    assert (process.returncode, out.decode()) == (0, "child\nparent 0\n"), err.decode()
    assert err.decode() == ""
