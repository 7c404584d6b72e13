"""p12: logs in bulk. Rows/s of a job against the same encoder and heads in process; and what de-duplication is worth.

The article-size encoder and heads of 9M parameters, random weights. First a log whose texts are all different: in
process, one thread encodes and another answers, as the two workers do, each as many at a time as it takes; then as a
job, through Kafka, exactly once, into Parquet. The two are taken in turn. The job's rate is that of the time from its
first request to its last committed row.

Then a log whose texts repeat as words do (Zipf), with de-duplication and without: the whole command, with reading and
start.
"""

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Queue

from rich.console import Console
from rich.table import Table

from benchmarks.article import running_article
from benchmarks.bulk import distinct_texts, run_bulk, write_log, zipf_rows
from benchmarks.report import Verdict
from manyheads.encoder_worker import EncoderModel, TextItem
from manyheads.encoder_worker.rows import Encoded
from manyheads.head_worker.building import ARTICLE_VIEW, article_head
from manyheads.head_worker.head import Head
from manyheads.infra.local import LocalStack
from manyheads.infra.stage.options import StageOptions
from manyheads.topics.messages import Embedding, StageTiming
from manyheads.topics.names import TenantName
from manyheads.topics.registry import EncoderRecord

GOAL_SHARE, GOAL_RATIO = 0.90, 5.0
EXPONENT = 1.3
NO_TIME = StageTiming(queue_ms=0.0, compute_ms=0.0)


class InProcess:
    """The encoder and the heads, without Kafka."""

    def __init__(self, stack: LocalStack, record: EncoderRecord, tenants: Sequence[TenantName]) -> None:
        files = {each.name: stack.store.fetch(each) for each in record.artifacts}
        self._model = EncoderModel.load(record, files)
        self._heads = {name: Head.load(article_head(i, record.space)) for i, name in enumerate(tenants)}

    def rate(self, texts: Sequence[str], owners: Sequence[TenantName]) -> float:
        """Rows/s."""
        encoded: Queue[tuple[TenantName, Embedding] | None] = Queue(maxsize=256)
        answering = threading.Thread(target=self._answer, args=(encoded,))
        began = time.perf_counter()
        answering.start()
        take = StageOptions().max_take
        for first in range(0, len(texts), take):
            items = [TextItem(text, ARTICLE_VIEW) for text in texts[first : first + take]]
            for run in self._model.encode(items):
                for index, outcome in run.outcomes:
                    assert isinstance(outcome, Encoded)
                    encoded.put((owners[first + index], self._model.message(outcome, NO_TIME)))
        encoded.put(None)
        answering.join()
        return len(texts) / (time.perf_counter() - began)

    def _answer(self, encoded: "Queue[tuple[TenantName, Embedding] | None]") -> None:
        while (item := encoded.get()) is not None:
            tenant, embedding = item
            self._heads[tenant].answer(embedding)


def _shares(
    stack: LocalStack, alone: InProcess, tenants: Sequence[TenantName], folder: Path, options: argparse.Namespace
) -> list[tuple[float, float]]:
    texts = distinct_texts(options.rows)
    owners = [tenants[number % len(tenants)] for number in range(len(texts))]
    log = write_log(folder / "distinct.parquet", texts, owners)
    alone.rate(texts[:200], owners[:200])
    rounds = []
    for number in range(options.rounds):
        rate = alone.rate(texts, owners)
        _, seconds = asyncio.run(run_bulk(stack.settings, log, folder / f"distinct-{number}"))
        rounds.append((rate, len(texts) / seconds))
    return rounds


def _dedupe(stack: LocalStack, tenants: Sequence[TenantName], folder: Path, rows: int) -> tuple[float, float, int]:
    """Seconds with de-duplication, and without; how many texts are distinct."""
    texts, owners = zipf_rows(rows, tenants, EXPONENT)
    log = write_log(folder / "zipf.parquet", texts, owners)
    with_dedupe, _ = asyncio.run(run_bulk(stack.settings, log, folder / "zipf-with"))
    without, _ = asyncio.run(run_bulk(stack.settings, log, folder / "zipf-without", dedupe=False))
    return with_dedupe, without, len(set(texts))


def run(arguments: list[str]) -> int:
    """Print the rounds, the two runs and the verdicts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks p12")
    parser.add_argument("--rows", type=int, default=20_000, help="of the log without repetition")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--log-rows", type=int, default=200_000, help="of the log with repetition; 0 leaves it out")
    parser.add_argument("--tenants", type=int, default=10)
    options = parser.parse_args(arguments)
    console = Console(width=100)
    with running_article(console, options.tenants) as article:
        stack, tenants, folder = article.stack, article.tenants, article.folder
        alone = InProcess(stack, article.encoder, tenants)
        with console.status(f"{options.rows:,} different texts, in process and as a job"):
            rounds = _shares(stack, alone, tenants, folder, options)
        table = Table(title=f"Rows/s; {options.rows:,} different texts, {options.tenants} heads of 9M parameters")
        for heading in ("round", "in process", "as a job", "share"):
            table.add_column(heading, justify="right")
        for number, (before, through) in enumerate(rounds, start=1):
            table.add_row(str(number), f"{before:,.0f}", f"{through:,.0f}", f"{through / before:.1%}")
        console.print(table)
        share = statistics.median(through / before for before, through in rounds)
        rate = statistics.median(through for _, through in rounds)
        print(Verdict("p12", share >= GOAL_SHARE, f"{share:.1%}, {rate:,.0f} rows/s", f"{GOAL_SHARE:.0%}").line())
        if options.log_rows:
            with console.status(f"{options.log_rows:,} rows that repeat themselves, with de-duplication and without"):
                quick, slow, texts = _dedupe(stack, tenants, folder, options.log_rows)
            figure = (
                f"{slow / quick:.1f}x: {quick:.0f} s against {slow:.0f} s, {options.log_rows:,} rows, {texts:,} texts"
            )
            print(Verdict("p12", slow / quick >= GOAL_RATIO, figure, f"{GOAL_RATIO:.0f}x").line())
    return 0
