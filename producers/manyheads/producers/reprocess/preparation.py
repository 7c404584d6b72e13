"""Everything before the first request: inputs found and checked, the plan agreed on, rows spilled."""

from collections.abc import Callable, Iterator

import pyarrow as pa

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.settings import KafkaSettings
from manyheads.producers.reprocess.completion import Completions
from manyheads.producers.reprocess.job_log import JobLog
from manyheads.producers.reprocess.options import JobOptions
from manyheads.producers.reprocess.plan import Plan, check_same, make_plan
from manyheads.producers.reprocess.reading import InputReader
from manyheads.producers.reprocess.sources import Source, SourceFormat, find_sources
from manyheads.producers.reprocess.spill import Spill, bucket_numbers, chosen
from manyheads.producers.reprocess.topic_rows import TopicReader
from manyheads.topics.catalogue import job_log_topic
from manyheads.topics.errors import ErrorCode, InvalidRequest

_CREATE_S = 60.0

Told = Callable[[int], None]
"""called with the rows that were read so far"""


class Preparation:
    """Reads and checks the inputs of a job. All of it blocks.

    Args:
        settings: how to reach Kafka.
        options: what was asked for.
        since_ms: what ``options.since`` means now, milliseconds since the epoch.
    """

    def __init__(self, settings: KafkaSettings, options: JobOptions, since_ms: int | None = None) -> None:
        self._settings = settings
        self._options = options
        self._since_ms = since_ms
        self._topics = TopicReader(settings)
        self._reader = InputReader(options, self._topics)

    def own_plan(self) -> Plan:
        """The plan of a job that begins now.

        Raises:
            InvalidRequest: an input is missing, empty, damaged, or lacks a column; nothing was sent.
            BrokerError: an input that is a topic cannot be read.
        """
        sources = [part for source in self._files() for part in self._parts(source)]
        return make_plan(self._options, sources, [self._reader.inspect(source) for source in sources])

    def agreed_plan(self, job: str, log: JobLog, completions: Completions) -> Plan:
        """The plan that all processes of the job have; begins it if there is none.

        Raises:
            InvalidRequest: as :meth:`own_plan`, or the job began with other options or inputs.
            BrokerError: the job's topic cannot be read, created or written.
        """
        files = self._files()  # first of all: mistakes are told without a Kafka
        log.open()
        if log.plan is None:
            own = self.own_plan()
            with TopicAdmin(self._settings, timeout_s=_CREATE_S) as admin:
                admin.ensure([job_log_topic(job, own.partitions)])
            log.open()
            completions.put_plan(own.to_bytes())
            log.catch_up(0)
        assert log.plan is not None
        agreed = Plan.from_bytes(log.plan)
        check_same(job, agreed, self._options.identity(), files)
        return agreed

    def spill(self, plan: Plan, spill: Spill, told: Told) -> None:
        """Read all rows of the plan into the buckets.

        Raises:
            InvalidRequest: an input is damaged, or the disk is full.
        """
        rows = 0
        batches = chosen(self._rows(plan, spill.schema), limit=self._options.limit, sample=self._options.sample)
        try:
            for batch in batches:
                spill.add(batch, bucket_numbers(batch, plan.buckets, by_text=self._options.dedupe))
                rows += batch.num_rows
                told(rows)
            spill.flush()
        except OSError as error:
            raise InvalidRequest(ErrorCode.INVALID_ARGUMENT, f"rows cannot be kept on this machine: {error}") from error

    def _rows(self, plan: Plan, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for number, source in enumerate(plan.sources):
            yield from self._reader.batches(source, number, plan.extras, schema)

    def _files(self) -> tuple[Source, ...]:
        return find_sources(self._options.inputs, self._options.destination.url)

    def _parts(self, source: Source) -> tuple[Source, ...]:
        if source.format is SourceFormat.TOPIC:
            return self._topics.snapshot(source, self._since_ms)
        return (source,)
