"""p10a: what live traffic feels of a bulk job. p99 of interactive requests alone, and beside a job that never ends.

As p3: article-size models, open-loop Poisson arrivals from the SDK, everything on this machine's cores, at half of the
rate that p3 held. The job is a process of its own over a log of different texts, with all its answers outstanding; it
is killed after each round, and the next round takes it up again. Rounds alone and beside it take turns.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.article import RING, running_article
from benchmarks.bulk import TOKENS, distinct_texts, start_bulk, write_log
from benchmarks.corpus import texts_of_tokens
from benchmarks.open_loop import Load, offer
from benchmarks.report import Verdict
from manyheads.infra.local import LocalStack
from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Client
from manyheads.topics.names import Lane, encoder_group, requests_topic

GOAL = 1.25
WARM_UP_S = 5.0
_SATURATED = 500
"""batch requests that wait for the encoder"""


class Backlog:
    """The batch lane's requests, seen from outside."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._topic = requests_topic(RING, Lane.BATCH)
        self._consumer = Consumer(settings.confluent() | {"group.id": encoder_group(RING, Lane.BATCH)})
        self._partitions = list(self._consumer.list_topics(self._topic, 10).topics[self._topic].partitions)

    def __call__(self) -> int:
        """Requests that no encoder worker is done with."""
        at = [TopicPartition(self._topic, number) for number in self._partitions]
        left = 0
        for position in self._consumer.committed(at, 10):
            end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, position.partition), 10)[1]
            left += end - max(0, position.offset)
        return left

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def _wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.5)


async def _rounds(
    stack: LocalStack, requests: Sequence[tuple[str, str]], log: Path, options: argparse.Namespace, backlog: Backlog
) -> list[tuple[Load, Load]]:
    rounds = []
    async with Client(stack.settings, ring=RING) as client:
        await offer(client, requests, options.rate, WARM_UP_S, seed=0)
        for number in range(options.rounds):
            alone = await offer(client, requests, options.rate, options.seconds, seed=number)
            job = start_bulk(stack.settings, log, log.with_name("out"))
            try:
                await asyncio.to_thread(_wait_until, lambda: backlog() >= _SATURATED)
                beside = await offer(client, requests, options.rate, options.seconds, seed=number)
                assert job.poll() is None, "the job ended during the round: give it more --log-rows"
            finally:
                job.kill()
                job.wait()
            await asyncio.to_thread(_wait_until, lambda: not backlog())
            rounds.append((alone, beside))
    return rounds


def run(arguments: list[str]) -> int:
    """Print the rounds and the verdict."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks p10a")
    parser.add_argument("--rate", type=float, default=50.0, help="interactive requests/s: half of what p3 held")
    parser.add_argument("--seconds", type=float, default=30.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--log-rows", type=int, default=200_000, help="of the job")
    options = parser.parse_args(arguments)
    console = Console(width=100)
    with running_article(console, options.tenants) as article:
        stack, tenants, folder = article.stack, article.tenants, article.folder
        rows = distinct_texts(options.log_rows)
        log = write_log(folder / "log.parquet", rows, [tenants[n % len(tenants)] for n in range(len(rows))])
        texts = texts_of_tokens(TOKENS, len(tenants))
        requests = [(name, texts[i % len(texts)]) for i, name in enumerate(tenants)]
        backlog = Backlog(stack.settings)
        with console.status(f"{options.rounds} rounds, each alone and beside a bulk job"):
            rounds = asyncio.run(_rounds(stack, requests, log, options, backlog))
        backlog.close()
    table = Table(title=f"Interactive requests, {options.rate:.0f}/s, {options.tenants} tenants; ms")
    for heading in ("round", "p50 alone", "p50 beside", "p99 alone", "p99 beside", "ratio"):
        table.add_column(heading, justify="right")
    for number, (alone, beside) in enumerate(rounds, start=1):
        table.add_row(
            str(number),
            *(f"{load.percentile(share):.1f}" for share in (0.5, 0.99) for load in (alone, beside)),
            f"{beside.percentile(0.99) / alone.percentile(0.99):.2f}",
        )
    console.print(table)
    ratio = statistics.median(beside.percentile(0.99) / alone.percentile(0.99) for alone, beside in rounds)
    p99 = statistics.median(beside.percentile(0.99) for _, beside in rounds)
    figure = f"p99 {ratio:.2f}x of that alone, {p99:.0f} ms, at {options.rate:.0f}/s"
    print(Verdict("p10a", ratio <= GOAL, figure, f"{GOAL:.2f}x").line())
    return 0
