"""p13: replay of retained embeddings against running the whole pipeline again, article size, in one run.

A log of requests goes once through SDK -> Kafka -> encoder worker -> Kafka -> head worker -> Kafka -> SDK, as many in
flight as keep all of it busy. Then `manyheads replay` runs the same head over the embeddings that this left in Kafka,
and compares with the replies. Both are timed whole: reading the registry, loading the head and matching replies are
part of a replay. Article-size models with random weights: an int8 encoder of 6 layers x 768, an int8 head of 9M
parameters. Texts of 15 tokens; twice: all of them different, and as often repeated as in a log (Zipf).
"""

import argparse
import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

from rich.console import Console
from rich.table import Table

from benchmarks.article import RING, running_article
from benchmarks.corpus import texts_of_tokens
from benchmarks.report import Verdict
from manyheads.cli.replay import ReplayRequest, replay
from manyheads.infra.local import LocalStack
from manyheads.producers import Client
from manyheads.topics.names import TenantName

GOAL = 20.0
TOKENS = 15
IN_FLIGHT = 512
WARM_UP = 500
ZIPF = 1.0
_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Run:
    """One log, both ways. Rates are requests/s."""

    name: str
    requests: int
    distinct: int
    pipeline: float
    replay: float
    compared: int

    @property
    def ratio(self) -> float:
        return self.replay / self.pipeline


def zipf_log(texts: Sequence[str], count: int) -> list[str]:
    """``count`` draws of the texts, the n-th most frequent one with a weight of 1 / n."""
    weights = list(accumulate(1 / rank**ZIPF for rank in range(1, len(texts) + 1)))
    return random.Random(0).choices(texts, cum_weights=weights, k=count)


async def _send(servers: str, tenant: TenantName, texts: Sequence[str]) -> float:
    """Send them all; the seconds until the last answer."""
    async with Client(servers, ring=RING, timeout=_TIMEOUT_S, max_in_flight=2 * IN_FLIGHT) as client:
        pairs = ((tenant, text) for text in texts)
        began = time.perf_counter()
        async with aclosing(client.predict_many(pairs, in_flight=IN_FLIGHT, ordered=False)) as results:
            async for each in results:
                if each.error is not None:
                    raise each.error
        return time.perf_counter() - began


def _both_ways(stack: LocalStack, tenant: TenantName, name: str, texts: Sequence[str]) -> Run:
    since = datetime.now(UTC).isoformat()
    seconds = asyncio.run(_send(stack.settings.bootstrap_servers, tenant, texts))
    request = ReplayRequest(tenant, "random", RING, since, None, None, 10)
    report = replay(request, stack.settings, stack.store)
    assert report.coverage.embeddings == len(texts), "every request left one embedding"
    return Run(
        name,
        len(texts),
        report.runs,
        len(texts) / seconds,
        len(texts) / report.seconds,
        report.comparison.same_answer,
    )


def _table(runs: Sequence[Run]) -> Table:
    table = Table(title=f"Requests/s, {TOKENS} tokens; random-6x768 int8, a head of 9M parameters")
    for heading in ("log", "requests", "different", "pipeline", "replay", "ratio", "same answers"):
        table.add_column(heading, justify="left" if heading == "log" else "right")
    for run in runs:
        table.add_row(
            run.name,
            f"{run.requests:,}",
            f"{run.distinct:,}",
            f"{run.pipeline:,.0f}",
            f"{run.replay:,.0f}",
            f"{run.ratio:.1f}x",
            f"{run.compared / run.requests:.2%}",
        )
    return table


def run(arguments: list[str]) -> int:
    """Print both logs and the verdict."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks p13")
    parser.add_argument("--requests", type=int, default=20_000, help="of each log")
    options = parser.parse_args(arguments)
    console = Console(width=100)
    texts = texts_of_tokens(TOKENS, WARM_UP + 2 * options.requests)
    logs = {
        "all different": texts[WARM_UP : WARM_UP + options.requests],
        "Zipf": zipf_log(texts[WARM_UP + options.requests :], options.requests),
    }
    with running_article(console, tenants=1) as article:
        stack, (tenant,) = article.stack, article.tenants
        with console.status("warming up"):
            asyncio.run(_send(stack.settings.bootstrap_servers, tenant, texts[:WARM_UP]))
        runs = []
        for name, log in logs.items():
            with console.status(f"{len(log):,} requests: {name}"):
                runs.append(_both_ways(stack, tenant, name, log))
    console.print(_table(runs))
    different, repeated = runs
    verdict = Verdict(
        "p13",
        different.ratio >= GOAL,
        f"{different.ratio:.1f}x ({different.replay:,.0f}/s) with all texts different, {repeated.ratio:.1f}x "
        f"({repeated.replay:,.0f}/s) with Zipf-repeated ones",
        f"{GOAL:.0f}x",
    )
    print(verdict.line())
    return 0
