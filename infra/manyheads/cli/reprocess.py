"""``reprocess``: logs in bulk, with a progress bar and a summary."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from manyheads.cli.interrupts import Interrupts
from manyheads.cli.moments import moment_ms
from manyheads.cli.settings import kafka_settings
from manyheads.cli.steps import console, step
from manyheads.producers.reprocess.estimate import Estimate, estimated
from manyheads.producers.reprocess.job import Job
from manyheads.producers.reprocess.options import TOPIC_PREFIX, Destination, JobOptions, OutputFormat, Pace
from manyheads.producers.reprocess.progress import Summary
from manyheads.topics.errors import ErrorCode, InvalidRequest
from manyheads.topics.names import Lane
from manyheads.topics.names import ring as ring_name

REJECTED = 3
"""exit status of a job that is done, but for rows that cannot be"""
_LOOK_EVERY_S = 0.5
_TELL_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class ReprocessRequest:
    """The options of the command, as they were given."""

    inputs: tuple[str, ...]
    tenant_column: str
    text_column: str
    out: str | None
    format: str
    rejects: str | None
    text: bool
    limit: int | None
    sample: float | None
    since: str | None
    dedupe: bool
    dry_run: bool
    job: str | None
    in_flight: int
    rate: float | None
    bucket_rows: int
    lane: str
    ring: str

    def options(self) -> JobOptions:
        """What the job is. Raises InvalidRequest."""
        return JobOptions(
            inputs=self.inputs,
            tenant_column=self.tenant_column,
            text_column=self.text_column,
            destination=self._destination(),
            ring=ring_name(self.ring),
            lane=Lane(self.lane),
            keep_text=self.text,
            dedupe=self.dedupe,
            limit=self.limit,
            sample=self.sample,
            since=self.since,
            bucket_rows=self.bucket_rows,
        )

    def since_ms(self) -> int | None:
        """What ``since`` means now. Raises InvalidRequest."""
        return None if self.since is None else moment_ms(self.since, time.time_ns() // 1_000_000)

    def _destination(self) -> Destination:
        if self.format.startswith(TOPIC_PREFIX):
            if self.out is not None:
                raise _wrong(f"--out is for files, and --format {self.format} writes to a topic: leave one out")
            return Destination(url="", topic=self.format.removeprefix(TOPIC_PREFIX))
        if self.format not in tuple(OutputFormat):
            raise _wrong(f"--format {self.format!r:.40} is none: use parquet, jsonl or topic:NAME")
        if self.out is None and not self.dry_run:
            raise _wrong("where does the output go? name a folder with --out, or a topic with --format topic:NAME")
        return Destination(url=self.out or "", format=OutputFormat(self.format))


def run_reprocess(request: ReprocessRequest, bootstrap_servers: str | None, *, as_json: bool) -> None:
    """Run the job, or estimate it. Raises ManyheadsError, and typer.Exit(3) if rows were rejected."""
    options, since_ms = request.options(), request.since_ms()
    settings = kafka_settings(bootstrap_servers)
    pace = Pace(in_flight=request.in_flight, rate=request.rate)
    out = console(stderr=as_json)
    with Interrupts() as interrupts:
        if request.dry_run:
            with step(out, "Reading the inputs") as current:
                found = interrupts.run(estimated(settings, options, pace, since_ms=since_ms))
                current.done = f"Read {found.rows:,} rows"
            _show_estimate(found, out, as_json=as_json)
            return
        job = Job(settings, options, request.job, pace=pace, since_ms=since_ms, rejects=request.rejects)
        summary = interrupts.run(_run(job, out))
    _show_summary(summary, out, as_json=as_json)
    if summary.rejected:
        raise typer.Exit(REJECTED)


async def _run(job: Job, out: Console) -> Summary:
    async with job:
        try:
            with step(out, "Reading and checking the inputs") as current:
                await job.prepare(lambda rows: current.tell(f"Reading and checking the inputs: {rows:,} rows"))
                begun = job.progress
                current.done = f"Job {job.name}: {begun.rows:,} rows, {begun.buckets:,} buckets"
                if begun.buckets_done:
                    current.done += f", {begun.buckets_done:,} of them done before"
            if begun.buckets_done == begun.buckets:
                out.print(
                    "  All of it was done before: nothing is sent. Another --job, with another output, begins anew."
                )
            with _bar(out, job):
                await job.run()
            return await job.finish()
        except asyncio.CancelledError:
            out.print(f"  Stopped; job {job.name} keeps what is done. Run the same command again to go on.")
            raise


@contextmanager
def _bar(out: Console, job: Job) -> Iterator[None]:
    """A bar where there is a terminal; elsewhere a line now and then."""
    columns = (
        TextColumn("  {task.completed:,.0f} of {task.total:,.0f} rows"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rest]}"),
    )
    told = _Teller(job)
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("rows", total=max(1, job.progress.rows), rate="", rest="")

        async def tell() -> None:
            last = time.monotonic()
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                line = told.look()
                bar.update(task, completed=line.done, total=max(1, line.rows), rate=line.rate, rest=line.rest)
                if not out.is_terminal and time.monotonic() - last >= _TELL_EVERY_S:
                    last = time.monotonic()
                    out.print(f"  {line.done:,} of {line.rows:,} rows, {line.rate}, {line.rest}")

        telling = asyncio.get_running_loop().create_task(tell())
        try:
            yield
        finally:
            telling.cancel()


@dataclass(frozen=True, slots=True)
class _Line:
    """What the bar shows."""

    done: int
    rows: int
    rate: str
    rest: str


class _Teller:
    """Turns a job's progress into what a person reads, with the rate of the last half minute."""

    _WINDOW = 60

    def __init__(self, job: Job) -> None:
        self._job = job
        self._seen: list[tuple[float, int]] = [(time.monotonic(), job.progress.done)]

    def look(self) -> _Line:
        """How it stands now."""
        progress = self._job.progress
        self._seen = [*self._seen[-self._WINDOW :], (time.monotonic(), progress.done)]
        (began, before), (now, done) = self._seen[0], self._seen[-1]
        rate = f"{(done - before) / (now - began):,.0f}/s" if now > began else ""
        parts = [f"{progress.buckets_done:,}/{progress.buckets:,} buckets", f"lag {progress.waiting:,}"]
        if progress.rejected:
            parts.append(f"{progress.rejected:,} rejected")
        if progress.again:
            parts.append(f"{progress.again:,} asked again")
        return _Line(progress.done, progress.rows, rate, ", ".join(parts))


def _show_summary(summary: Summary, out: Console, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(summary)))
        return
    answered = summary.rows - summary.rejected
    rate = f", {summary.rows / summary.seconds:,.0f} rows/s" if summary.seconds else ""
    out.print(Text.assemble((f"{answered:,} rows answered", "bold"), f" in {summary.output}"))
    out.print(
        f"  {summary.texts:,} distinct texts, {summary.pairs:,} with their tenants; this process sent "
        f"{summary.sent:,} requests in {summary.seconds:,.1f} s{rate}"
    )
    if summary.rejected:
        out.print(
            Text(f"  {summary.rejected:,} rows could not be processed: {summary.rejects_file} says why", style="yellow")
        )


def _show_estimate(found: Estimate, out: Console, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(found) | {"seconds": found.seconds}))
        return
    out.print(f"  {found.rows:,} rows in {found.buckets:,} buckets")
    out.print(f"  {found.texts:,} distinct texts, {found.pairs:,} distinct pairs of tenant and text")
    out.print(f"  {found.requests:,} requests would be sent")
    if found.unusable:
        out.print(f"  {found.unusable:,} rows would be rejected unsent")
    if found.seconds is None:
        out.print(f"  no estimate of the time: {found.probe.trouble}")
    else:
        out.print(
            f"  about {_span(found.seconds)}: a trial got {found.probe.answers:,} answers in "
            f"{found.probe.seconds:.1f} s, its start included; live traffic and other jobs make it longer"
        )


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h"


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest(ErrorCode.INVALID_ARGUMENT, message)
