"""What the benchmarks of bulk jobs share: a log of one's own making, and a job over it."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.article import RING
from benchmarks.corpus import texts_of_tokens
from manyheads.infra.settings import KafkaSettings
from manyheads.producers.reprocess.job import Job
from manyheads.producers.reprocess.options import Destination, JobOptions
from manyheads.topics.names import TenantName

TOKENS = 15
_VOCABULARY = 100_000


def write_log(path: Path, texts: Sequence[str], tenants: Sequence[str]) -> Path:
    """A row for each text and its tenant, as Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"tenant": list(tenants), "text": list(texts)}), path)
    return path


def distinct_texts(count: int) -> list[str]:
    """Different texts of 15 tokens."""
    texts: dict[str, None] = {}
    wanted = count
    while len(texts) < count:
        wanted *= 2
        texts.update(dict.fromkeys(texts_of_tokens(TOKENS, wanted)))
    return list(texts)[:count]


def zipf_rows(count: int, tenants: Sequence[TenantName], exponent: float) -> tuple[list[str], list[TenantName]]:
    """Texts that repeat as those of logs do, the r-th most frequent as 1/r^exponent, and their tenants."""
    drawn = np.random.default_rng(0)
    weights = 1 / np.arange(1, _VOCABULARY + 1) ** exponent
    numbers = drawn.choice(_VOCABULARY, count, p=weights / weights.sum())
    kinds = {number: position for position, number in enumerate(dict.fromkeys(numbers.tolist()))}
    texts = distinct_texts(len(kinds))
    owners = drawn.integers(0, len(tenants), count)
    return [texts[kinds[number]] for number in numbers.tolist()], [tenants[owner] for owner in owners]


async def run_bulk(settings: KafkaSettings, log: Path, out: Path, *, dedupe: bool = True) -> tuple[float, float]:
    """Seconds of a job over a log: all of it, and without the reading and the start before the first request."""
    options = JobOptions(
        inputs=(str(log),),
        tenant_column="tenant",
        text_column="text",
        destination=Destination(str(out)),
        ring=RING,
        dedupe=dedupe,
    )
    began = time.perf_counter()
    async with Job(settings, options, out.name) as job:
        await job.prepare(lambda _: None)
        prepared = time.perf_counter()
        await job.run()
        done = time.perf_counter()
        summary = await job.finish()
        assert not summary.rejected, f"{summary.rejected} rows were rejected: see {summary.rejects_file}"
    return time.perf_counter() - began, done - prepared


def start_bulk(settings: KafkaSettings, log: Path, out: Path) -> "subprocess.Popen[bytes]":
    """A job in a process of its own."""
    command = [sys.executable, "-m", "manyheads.cli", "reprocess", str(log), "--out", str(out), "--job", out.name]
    command += ["--ring", RING, "-b", settings.bootstrap_servers, "--json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
