"""Bulk jobs in tests: a log with all that can be in one, a job in this process or its own, and its output read back."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.reprocess.job import Job
from manyheads.producers.reprocess.options import Destination, JobOptions, OutputFormat, Pace
from manyheads.producers.reprocess.progress import Summary
from manyheads.topics.names import RingName

ROOT = Path(__file__).parents[2]
Place = tuple[str, int]
"""file and row"""


@dataclass(frozen=True)
class Log:
    """A log in files, and what must become of its rows."""

    folder: Path
    rows: Mapping[Place, tuple[str, str]]
    """tenant and text of each row that can be answered"""
    rejected: Mapping[Place, str]
    """the code of each that cannot"""

    @property
    def texts(self) -> set[str]:
        return {text for _, text in self.rows.values()}

    @property
    def inputs(self) -> tuple[str, ...]:
        return (f"{self.folder}/*.parquet",)


def write_log(folder: Path, asks: Sequence[tuple[str, str]], *, spoil_every: int = 0) -> Log:
    """The asks as rows of two Parquet files; every so many rows, one that cannot be processed."""
    spoilt: list[tuple[tuple[str | None, str | None], str]] = [
        (("Bad Tenant", "hello"), "invalid_name"),
        (("nobody-there", "hello"), "unknown_tenant"),
        (("acme-bank", None), "text_empty"),
        ((None, "hello"), "invalid_name"),
        (("acme-bank", "x" * 9_000), "text_too_long"),
        (("acme-bank", "a\x00b"), "text_control_character"),
    ]
    lines: list[tuple[str | None, str | None]] = []
    codes: dict[int, str] = {}
    for number, ask in enumerate(asks):
        if spoil_every and number % spoil_every == 0:
            pair, code = spoilt[number // spoil_every % len(spoilt)]
            codes[len(lines)] = code
            lines.append(pair)
        lines.append(ask)
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[Place, tuple[str, str]] = {}
    rejected: dict[Place, str] = {}
    half = len(lines) // 2
    for name, first, part in (("a", 0, lines[:half]), ("b", half, lines[half:])):
        path = folder / f"{name}.parquet"
        table = [{"t": tenant, "q": text, "id": first + i} for i, (tenant, text) in enumerate(part)]
        pq.write_table(pa.Table.from_pylist(table), path)
        for i, (tenant, text) in enumerate(part):
            place = (str(path), i + 1)
            if first + i in codes:
                rejected[place] = codes[first + i]
            else:
                rows[place] = (str(tenant), str(text))
    return Log(folder, rows, rejected)


def options(ring: RingName, inputs: Sequence[str], destination: Destination, **changes: Any) -> JobOptions:
    """A job that reads the columns ``t`` and ``q``."""
    given: dict[str, Any] = {"tenant_column": "t", "text_column": "q", "bucket_rows": 40}
    return JobOptions(inputs=tuple(inputs), destination=destination, ring=ring, **(given | changes))


async def run_job(
    settings: KafkaSettings, asked: JobOptions, name: str | None = None, rejects: str | None = None
) -> Summary:
    """A job from its beginning to its end, in this process."""
    async with Job(settings, asked, name, pace=Pace(in_flight=200), rejects=rejects) as job:
        await job.prepare(lambda _: None)
        await job.run()
        return await job.finish()


def start_process(settings: KafkaSettings, ring: RingName, log: Log, out: Path, job: str) -> "subprocess.Popen[bytes]":
    """A job in a process of its own, as a user would start it. What it says is beside its output."""
    command = [sys.executable, "-m", "manyheads.cli", "reprocess"]
    command += [*log.inputs, "--tenant-column", "t", "--text-column", "q", "--out", str(out), "--job", job]
    command += ["--bucket-rows", "40", "--in-flight", "200", "--ring", ring, "-b", settings.bootstrap_servers, "--json"]
    with out.with_suffix(".log").open("ab") as said:
        return subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)


def rows_of(folder: Path, kind: OutputFormat = OutputFormat.PARQUET) -> list[dict[str, Any]]:
    """The rows of an output, as any reader of such files finds them."""
    if kind is OutputFormat.JSONL:
        return [
            json.loads(line)
            for path in sorted(folder.glob("*.jsonl"))
            if not path.name.startswith("_")
            for line in path.read_text().splitlines()
        ]
    found: list[dict[str, Any]] = ds.dataset(folder, partitioning="hive").to_table().to_pylist()
    return found


def predictions(rows: Sequence[Mapping[str, Any]]) -> dict[Place, tuple[Any, ...]]:
    """What was predicted for each row. Fails where a row is there twice."""
    found = {(row["input_file"], row["input_row"]): _prediction(row) for row in rows}
    assert len(found) == len(rows), f"{len(rows) - len(found)} rows are there twice"
    return found


def _prediction(row: Mapping[str, Any]) -> tuple[Any, ...]:
    entities = tuple(tuple(entity.values()) for entity in row["entities"])
    return (
        row["tenant"],
        row["text"],
        row["id"],
        row["intent"],
        row["confidence"],
        entities,
        tuple(row["versions"].values()),
    )


def rejects_of(path: Path) -> dict[Place, str]:
    """The code of each rejected row."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = {(line["input_file"], line["input_row"]): line["code"] for line in lines}
    assert len(found) == len(lines)
    assert all(line["reason"] for line in lines)
    return found
