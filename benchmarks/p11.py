"""p11: what the client costs, against request-reply written by hand with aiokafka, in the same process and run.

The two take turns, round after round, with the same texts and the same worker, a process of its own that answers at
once. With 5,000 requests in flight it counts the CPU time of the client's process: aiokafka, the event loop and the
tasks that wait are in it, for both. At a steady rate, which both carry easily, it takes the latencies.
"""

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from benchmarks.handwritten import TIMEOUT_S, HandwrittenClient
from benchmarks.report import Verdict
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker import EmbeddedKafka
from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Client
from manyheads.topics.catalogue import Partitions, ring_topics, shared_topics
from manyheads.topics.names import cell, requests_topic, ring

RING = ring("en")
TENANT, TEXT = "acme-bank", "move 40 euros to my savings account this afternoon, please"
PARTITIONS = Partitions(requests=8, embeddings=1, replies=8)
IN_FLIGHT = 5_000
GOAL_CPU_US, GOAL_P50 = 150.0, 1.10

Ask = Callable[[str, str], Awaitable[object]]


@dataclass
class Measured:
    """One client's rounds."""

    cpu_us: list[float] = field(default_factory=list)
    """CPU of the process per request, at 5,000 in flight"""
    busy_rate: list[float] = field(default_factory=list)
    """requests/s, at 5,000 in flight"""
    p50_ms: list[float] = field(default_factory=list)
    """at the steady rate"""
    answered: int = 0


async def _flood(ask: Ask, requests: int) -> tuple[float, float]:
    """CPU microseconds per request, and requests/s, with 5,000 in flight all the time."""
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            await ask(TENANT, TEXT)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu / requests * 1e6, requests / wall


async def _steady(ask: Ask, rate: float, requests: int, seed: int) -> float:
    """The median latency in milliseconds of Poisson arrivals, from the moment each was meant to leave."""
    rng = random.Random(seed)
    latencies: list[float] = []

    async def one(intended: float) -> None:
        await ask(TENANT, TEXT)
        latencies.append((time.perf_counter() - intended) * 1000)

    intended = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(requests):
            intended += rng.expovariate(rate)
            delay = intended - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            tasks.create_task(one(intended))
    return statistics.median(latencies)


async def _round(ask: Ask, measured: Measured, options: argparse.Namespace, seed: int) -> None:
    cpu_us, rate = await _flood(ask, options.requests)
    measured.cpu_us.append(cpu_us)
    measured.busy_rate.append(rate)
    measured.p50_ms.append(await _steady(ask, options.rate, options.steady, seed))
    measured.answered += options.requests + options.steady


async def measure(settings: KafkaSettings, options: argparse.Namespace) -> tuple[Measured, Measured, int]:
    """Both clients' rounds, ours first, and how many of ours were lost: sent, and neither answered nor failed."""
    ours, theirs = Measured(), Measured()
    topic = requests_topic(RING)
    async with (
        Client(settings, ring=RING, timeout=TIMEOUT_S) as client,
        HandwrittenClient(settings, topic, reply_partition=0) as handwritten,
    ):
        for ask in (client.predict, handwritten.predict):
            await _flood(ask, IN_FLIGHT)
        before = client.counts.answered
        for number in range(options.rounds):
            await _round(client.predict, ours, options, seed=number)
            await _round(handwritten.predict, theirs, options, seed=number)
        lost = ours.answered - (client.counts.answered - before)
    return ours, theirs, lost


@contextmanager
def _answering(settings: KafkaSettings) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.handwritten", settings.bootstrap_servers, requests_topic(RING)]
    with subprocess.Popen([*command, str(PARTITIONS.requests)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n", "the worker did not start"
        try:
            yield
        finally:
            process.terminate()


def _table(ours: Measured, theirs: Measured, options: argparse.Namespace) -> Table:
    table = Table(title=f"{options.rounds} rounds in turn, medians; {options.requests:,} requests with 5,000 in flight")
    for heading in ("client", "CPU us/request", "requests/s", f"p50 ms at {options.rate:.0f}/s"):
        table.add_column(heading, justify="left" if heading == "client" else "right")
    for name, measured in (("manyheads", ours), ("by hand, aiokafka", theirs)):
        table.add_row(
            name,
            f"{statistics.median(measured.cpu_us):.0f}",
            f"{statistics.median(measured.busy_rate):,.0f}",
            f"{statistics.median(measured.p50_ms):.2f}",
        )
    return table


def run(arguments: list[str]) -> int:
    """Print the table and the verdict."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks p11")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20_000, help="a round, with 5,000 in flight")
    parser.add_argument("--rate", type=float, default=300.0, help="requests/s for the latencies")
    parser.add_argument("--steady", type=int, default=3_000, help="requests a round for the latencies")
    options = parser.parse_args(arguments)
    console = Console(width=100)
    with EmbeddedKafka() as kafka, console.status("the two clients in turn"):
        with TopicAdmin(kafka.settings()) as admin:
            admin.ensure(shared_topics(PARTITIONS) + ring_topics(RING, [cell("c0")], PARTITIONS))
        with _answering(kafka.settings()):
            ours, theirs, lost = asyncio.run(measure(kafka.settings(), options))
    console.print(_table(ours, theirs, options))
    cpu_us = statistics.median(ours.cpu_us)
    p50 = statistics.median(a / b for a, b in zip(ours.p50_ms, theirs.p50_ms, strict=True))
    verdict = Verdict(
        "p11",
        cpu_us <= GOAL_CPU_US and p50 <= GOAL_P50 and lost == 0,
        f"{cpu_us:.0f} us of CPU a request ({statistics.median(theirs.cpu_us):.0f} by hand), p50 {p50:.2f}x by hand, "
        f"{lost} of {ours.answered:,} lost",
        f"{GOAL_CPU_US:.0f} us, {GOAL_P50:.2f}x, none",
    )
    print(verdict.line())
    return 0
