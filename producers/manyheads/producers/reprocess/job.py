"""A job in one process: does the buckets that the group gives it, until all are done by somebody."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pyarrow as pa

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.client import Client
from manyheads.producers.reprocess.asking import Asker, Tally
from manyheads.producers.reprocess.columns import spilled_schema
from manyheads.producers.reprocess.completion import Completions, Finished
from manyheads.producers.reprocess.job_log import BucketCounts, JobLog
from manyheads.producers.reprocess.membership import Membership
from manyheads.producers.reprocess.options import DEFAULT_PACE, JobOptions, Pace
from manyheads.producers.reprocess.outputs import Output, output_of
from manyheads.producers.reprocess.plan import Plan
from manyheads.producers.reprocess.preparation import Preparation, Told
from manyheads.producers.reprocess.progress import Progress, Summary
from manyheads.producers.reprocess.rows import RowWriter, reject_lines
from manyheads.producers.reprocess.spill import Spill
from manyheads.producers.reprocess.whole_files import unwritable
from manyheads.producers.reprocess.work import Ask, Key, Outcome, Reject, asks_of
from manyheads.topics.errors import ManyheadsError
from manyheads.topics.names import job as job_name

_AT_ONCE = 2
"""buckets under way, so that one's last answers do not hold up the next one's first requests"""
_LOOK_EVERY_S = 1.0
_HAND_OVER_S = 60.0
"""how long a partition is kept from its next owner so that its buckets under way need not be done again"""
_MOST_IN_FLIGHT = 2**20


@dataclass(slots=True)
class _Active:
    """A bucket under way."""

    rows: int
    task: asyncio.Task[None]
    outcomes: dict[Key, Outcome] = field(default_factory=dict)
    expected: int = 0
    """outcomes; 0 before that is known"""

    @property
    def done_rows(self) -> int:
        return round(self.rows * len(self.outcomes) / self.expected) if self.expected else 0


class Job:
    """One process's part of a job; an asynchronous context manager.

    ::

        async with Job(settings, options) as job:
            await job.prepare(print)
            await job.run()
            summary = await job.finish()
    """

    def __init__(
        self,
        settings: KafkaSettings,
        options: JobOptions,
        name: str | None = None,
        *,
        pace: Pace = DEFAULT_PACE,
        since_ms: int | None = None,
        rejects: str | None = None,
    ) -> None:
        """A part of a job.

        Args:
            settings: how to reach Kafka.
            options: what is asked for; the same in all processes of the job.
            name: the job's; None: made of the options, so that the same options are the same job.
            pace: how this process sends.
            since_ms: what ``options.since`` means, milliseconds since the epoch, if the job begins now.
            rejects: a file for rejected rows, path or URL; None: beside the output.

        Raises:
            InvalidRequest: invalid_name, or an output that cannot be.
        """
        name = options.default_job() if name is None else job_name(name)
        self._settings = settings
        self._options = options
        self._pace = pace
        self._since_ms = since_ms
        self.name = name
        self._began = time.monotonic()
        self._log = JobLog(settings, name)
        self._completions = Completions(settings, name, self._log)
        self._output: Output = output_of(settings, options.destination, name, rejects)
        self._resources = AsyncExitStack()
        self._owned: set[int] = set()
        self._active: dict[int, _Active] = {}
        self._changed = asyncio.Event()
        self._failure: ManyheadsError | None = None
        self._plan: Plan
        self._spill: Spill
        self._rows: RowWriter
        self._asker: Asker | None = None

    async def __aenter__(self) -> "Job":
        self._resources.callback(self._log.close)
        self._resources.callback(self._completions.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def prepare(self, told: Told) -> None:
        """Check the inputs, agree on the plan, spill the rows of the buckets that are not done.

        Raises:
            InvalidRequest: an input or the output cannot be used; nothing was sent.
            BrokerError: Kafka cannot be reached, or refuses us.
        """
        preparation = Preparation(self._settings, self._options, self._since_ms)
        self._plan = await asyncio.to_thread(preparation.agreed_plan, self.name, self._log, self._completions)
        await asyncio.to_thread(self._output.claim, len(self._log.done))
        wanted = [bucket for bucket in range(self._plan.buckets) if bucket not in self._log.done]
        self._spill = self._resources.enter_context(Spill(spilled_schema(self._plan.extras), wanted))
        self._rows = RowWriter(self._plan, keep_text=self._options.keep_text, dedupe=self._options.dedupe)
        if wanted:
            await asyncio.to_thread(preparation.spill, self._plan, self._spill, told)

    async def run(self) -> None:
        """Until every bucket of the job is done.

        Raises:
            ManyheadsError: the job cannot go on; what is done stays done.
        """
        if self._all_done():
            return
        client = await self._resources.enter_async_context(
            Client(
                self._settings,
                ring=self._options.ring,
                lane=self._options.lane,
                timeout=self._pace.timeout_s,
                max_in_flight=_MOST_IN_FLIGHT,
            )
        )
        self._asker = Asker(client, self._pace)
        membership = Membership(
            self._settings, self.name, given=self._given, taken=self._taken, failed=self._group_failed
        )
        try:
            membership.start()
            while not self._all_done():
                self._start_buckets()
                await self._change()
                await asyncio.to_thread(self._log.poll)
        finally:
            for active in self._active.values():
                active.task.cancel()
            await asyncio.gather(*(active.task for active in self._active.values()), return_exceptions=True)
            await membership.leave()

    async def finish(self) -> Summary:
        """Write the rejects file, clean up, and sum up. For a job whose buckets are all done.

        Raises:
            InvalidRequest: the rejects file cannot be written; what is done stays done.
        """
        done = self._log.done.values()
        rejects = None
        if any(counts.rejected for counts in done):
            files = [source.name for source in self._plan.sources]
            lines = (line for reject in self._log.rejects() for line in reject_lines([reject], files))
            rejects = await asyncio.to_thread(self._output.write_rejects, lines)
        await asyncio.to_thread(self._output.clean)
        return Summary.of(
            self.name,
            done,
            sent=self._tally.sent,
            seconds=time.monotonic() - self._began,
            output=self._options.destination.shown,
            rejects=rejects,
        )

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        done = self._log.done
        rows = sum(counts.rows for counts in done.values())
        left = {bucket: count for bucket, count in self._spill.rows.items() if bucket not in done}
        tally = self._tally
        return Progress(
            rows=rows + sum(left.values()),
            done=rows + sum(each.done_rows for bucket, each in self._active.items() if bucket not in done),
            rejected=sum(counts.rejected for counts in done.values()),
            buckets=self._plan.buckets,
            buckets_done=len(done),
            waiting=tally.waiting,
            again=tally.again,
        )

    @property
    def _tally(self) -> Tally:
        return Tally() if self._asker is None else self._asker.tally

    # Buckets

    def _all_done(self) -> bool:
        return len(self._log.done) >= self._plan.buckets

    def _start_buckets(self) -> None:
        order = sorted(range(self._plan.buckets), key=lambda bucket: (self._plan.partition_of(bucket), bucket))
        for bucket in order:
            if len(self._active) >= _AT_ONCE:
                return
            if self._plan.partition_of(bucket) not in self._owned or bucket in self._active:
                continue
            if bucket not in self._log.done:
                task = asyncio.create_task(self._do(bucket))
                self._active[bucket] = _Active(self._spill.rows.get(bucket, 0), task)
                task.add_done_callback(lambda _: self._changed.set())

    async def _change(self) -> None:
        """Wait until there is something to see to. Raises what ended a bucket."""
        try:
            async with asyncio.timeout(_LOOK_EVERY_S):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()
        for bucket in [bucket for bucket, active in self._active.items() if active.task.done()]:
            task = self._active.pop(bucket).task
            if not task.cancelled():
                task.result()
        if self._failure is not None:
            raise self._failure

    async def _do(self, bucket: int) -> None:
        await asyncio.sleep(0)  # until it is among the active ones
        active, asker = self._active[bucket], self._asker
        assert asker is not None
        asks = await asyncio.to_thread(self._asks, bucket)
        active.expected = sum(len(ask.tenants) for ask in asks)
        await asker.ask(asks, active.outcomes)
        partition = self._plan.partition_of(bucket)
        try:
            finished = await asyncio.to_thread(self._written, bucket, asks, active.outcomes)
        except OSError as error:
            await asyncio.to_thread(self._log.catch_up, partition)
            if bucket not in self._log.done:
                raise unwritable(self._options.destination.shown, error) from error
            return  # another process did it, and has cleaned up already
        await asyncio.to_thread(self._completions.commit, partition, finished)
        self._spill.drop(bucket)

    def _asks(self, bucket: int) -> list[Ask]:
        return asks_of(self._spill.read(bucket), dedupe=self._options.dedupe)

    def _written(self, bucket: int, asks: Sequence[Ask], outcomes: dict[Key, Outcome]) -> Finished:
        rejects: list[Reject] = []

        def answered() -> Iterator[pa.RecordBatch]:
            rejects.clear()
            for batch in self._spill.read(bucket):
                written = self._rows.write(batch, outcomes)
                rejects.extend(written.rejected)
                if written.answered.num_rows:
                    yield written.answered

        records = self._output.write(bucket, self._rows.schema, answered)
        counts = BucketCounts(
            bucket,
            rows=self._spill.rows.get(bucket, 0),
            rejected=len(rejects),
            texts=len({ask.text for ask in asks}),
            pairs=len({(tenant, ask.text) for ask in asks for tenant in ask.tenants}),
        )
        return Finished(counts, rejects, records)

    # The group, told on the event loop

    def _given(self, partitions: Sequence[int]) -> None:
        self._owned.update(partitions)
        self._changed.set()

    async def _taken(self, partitions: Sequence[int]) -> None:
        self._owned.difference_update(partitions)
        tasks = [each.task for bucket, each in self._active.items() if self._plan.partition_of(bucket) in partitions]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_HAND_OVER_S)
            for task in late:
                task.cancel()
        for partition in partitions:
            await asyncio.to_thread(self._completions.forget, partition)

    def _group_failed(self, error: ManyheadsError) -> None:
        self._failure = error
        self._changed.set()
