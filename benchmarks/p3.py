"""p3: the whole pipeline on this machine's cores, under an open-loop Poisson load.

SDK -> Kafka -> encoder worker -> Kafka -> head worker -> Kafka -> SDK, each a process of its own, the broker and the
load generator on the same cores. Article-size models with random weights: an int8 encoder of 6 layers x 768, and an
int8 head of 9M parameters for each of 100 tenants. Texts of 15 tokens.

Each rate is offered for some seconds after a warm-up; the answer is the highest rate of the ladder at which p90 and
p99 hold, with every lower rate holding too.
"""

import argparse
import asyncio
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.article import RING, running_article
from benchmarks.corpus import texts_of_tokens
from benchmarks.open_loop import Load, offer
from benchmarks.report import Verdict
from manyheads.producers import Client

GOAL_RATE, GOAL_P90_MS, GOAL_P99_MS = 300, 35.0, 80.0
LADDER = (50, 100, 150, 200, 250, 300, 350, 400, 450, 500)
WARM_UP_S = 5.0
TOKENS = 15


def holds(load: Load) -> bool:
    """Whether the run kept both percentiles and answered everything."""
    return not load.errors and load.percentile(0.90) <= GOAL_P90_MS and load.percentile(0.99) <= GOAL_P99_MS


async def _climb(
    bootstrap_servers: str, requests: Sequence[tuple[str, str]], rates: Sequence[int], seconds: float, console: Console
) -> list[Load]:
    loads: list[Load] = []
    async with Client(bootstrap_servers, ring=RING) as client:
        await offer(client, requests, rates[0], WARM_UP_S, seed=0)
        for rate in rates:
            with console.status(f"{rate} requests/s for {seconds:.0f} s"):
                loads.append(await offer(client, requests, rate, seconds, seed=rate))
            if len(loads) >= 2 and not holds(loads[-1]) and not holds(loads[-2]):
                break
    return loads


def _table(loads: Sequence[Load], tenants: int) -> Table:
    table = Table(title=f"Open-loop Poisson arrivals, {TOKENS} tokens, {tenants} tenants; from the intended send time")
    for heading in ("requests/s", "answered", "errors", "p50 ms", "p90 ms", "p99 ms", "holds"):
        table.add_column(heading, justify="right")
    for load in loads:
        table.add_row(
            f"{load.rate:.0f}",
            f"{len(load.latencies_ms):,}",
            ", ".join(f"{code} {number}" for code, number in load.errors) or "0",
            *(f"{load.percentile(share):.1f}" for share in (0.5, 0.9, 0.99)),
            "yes" if holds(load) else "no",
        )
    return table


def run(arguments: list[str]) -> int:
    """Print the ladder and the verdict."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks p3")
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds at each rate")
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--head-workers", type=int, default=1)
    parser.add_argument("--rates", type=int, nargs="+", default=list(LADDER))
    options = parser.parse_args(arguments)
    console = Console(width=100)
    with running_article(console, options.tenants, options.head_workers) as article:
        texts = texts_of_tokens(TOKENS, len(article.tenants))
        requests = [(name, texts[i % len(texts)]) for i, name in enumerate(article.tenants)]
        loads = asyncio.run(
            _climb(article.stack.settings.bootstrap_servers, requests, options.rates, options.seconds, console)
        )
    console.print(_table(loads, options.tenants))
    best: Load | None = None
    for load in loads:
        if not holds(load):
            break
        best = load
    figure = (
        f"{best.rate:.0f}/s at p90 {best.percentile(0.9):.0f} ms, p99 {best.percentile(0.99):.0f} ms"
        if best
        else f"no rate of {options.rates} held"
    )
    verdict = Verdict(
        "p3",
        best is not None and best.rate >= GOAL_RATE,
        f"{figure}; random-6x768 int8, {options.tenants} heads of 9M parameters",
        f"{GOAL_RATE}/s at p90 <= {GOAL_P90_MS:.0f} ms, p99 <= {GOAL_P99_MS:.0f} ms",
    )
    print(verdict.line())
    return 0
