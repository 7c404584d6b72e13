"""Answered rows to files, or to a topic."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manyheads.infra.kafka.confluent import ConfluentTransport
from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.settings import KafkaSettings
from manyheads.producers.reprocess.columns import is_json
from manyheads.producers.reprocess.options import Destination, OutputFormat
from manyheads.producers.reprocess.whole_files import Folder, json_line, unwritable
from manyheads.topics.errors import BrokerError, ErrorCode, InvalidRequest
from manyheads.topics.headers import CONTENT_TYPE_HEADER, TENANT

Answered = Callable[[], Iterator[pa.RecordBatch]]
"""the answered rows of a bucket, from the beginning each time it is called"""
Records = Callable[[], Iterator[Outgoing]]

_JOB_FILE = "_manyheads/job.json"
_UNFINISHED = "_manyheads/unfinished"
# Readers of whole folders pass over names that begin so.
_REJECTS_FILE = "_rejects.jsonl"
_ASK_S = 30.0


class Output(Protocol):
    """Where a job's rows go."""

    def claim(self) -> None:
        """Make sure that it can be written, and that it is this job's. Raises InvalidRequest, BrokerError."""

    def write(self, bucket: int, schema: pa.Schema, answered: Answered) -> Records | None:
        """Write a bucket, once more if it is there already; or the records to be committed with its completion.

        Iterates ``answered`` to the end once at least. Raises OSError.
        """

    def write_rejects(self, lines: Iterable[dict[str, Any]]) -> str:
        """All rejected rows of the job, in place of what was written before; where they are. Raises OSError."""

    def clean(self) -> None:
        """Delete what processes that died have left. For a job that is done."""


def output_of(settings: KafkaSettings, destination: Destination, job: str, rejects: str | None) -> Output:
    """The output that a job's options name; ``rejects`` is a file for rejected rows. Raises InvalidRequest."""
    if destination.topic is not None:
        return _TopicOutput(settings, destination.topic, rejects or f"{job}.rejects.jsonl")
    return _FolderOutput(destination, job, rejects)


class _FolderOutput:
    """Files of names that only their bucket has: a bucket that is written again takes the place of itself."""

    def __init__(self, destination: Destination, job: str, rejects: str | None) -> None:
        self._folder = Folder(destination.url, _UNFINISHED)
        self._format = destination.format
        self._job = job
        self._rejects = rejects or f"{self._folder.url}/{_REJECTS_FILE}"

    def claim(self) -> None:
        url = self._folder.url
        try:
            known = self._folder.read(_JOB_FILE)
            if known is None:
                self._folder.write_lines(_JOB_FILE, [{"job": self._job}])
            owner = self._job if known is None else json.loads(known)["job"]
        except (OSError, ValueError, KeyError) as error:
            raise unwritable(url, error) from error
        if owner != self._job:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT,
                f"{url} holds the output of job {owner}, beside which this job's rows would stand twice: take another "
                "--out, or delete it first",
                job=str(owner),
            )

    def write(self, bucket: int, schema: pa.Schema, answered: Answered) -> Records | None:
        if self._format is OutputFormat.PARQUET:
            self._write_parquet(bucket, schema, answered())
        else:
            rows = (row for batch in answered() for row in json_objects(batch))
            self._folder.write_lines(f"part-{bucket:05}.jsonl", rows)
        return None

    def write_rejects(self, lines: Iterable[dict[str, Any]]) -> str:
        return _write_file(self._rejects, lines)

    def clean(self) -> None:
        self._folder.clean()

    def _write_parquet(self, bucket: int, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        # The folder's name has the tenant: readers would find it twice.
        index = schema.get_field_index("tenant")
        own = schema.remove(index)
        with ExitStack() as files:
            writers: dict[str, pq.ParquetWriter] = {}
            for batch in batches:
                table = pa.Table.from_batches([batch])
                for tenant in pc.unique(batch.column(index)).to_pylist():
                    if tenant not in writers:
                        sink = files.enter_context(self._folder.replacing(f"tenant={tenant}/part-{bucket:05}.parquet"))
                        writers[tenant] = files.enter_context(pq.ParquetWriter(sink, own, compression="zstd"))
                    rows = table.filter(pc.equal(table.column(index), tenant))
                    writers[tenant].write_table(rows.remove_column(index))


class _TopicOutput:
    """Records keyed by tenant, each a row as JSON, committed with their bucket: for readers of committed records."""

    def __init__(self, settings: KafkaSettings, topic: str, rejects: str) -> None:
        self._settings = settings
        self._topic = topic
        self._rejects = rejects

    def claim(self) -> None:
        missing = ConfluentTransport(self._settings).missing_topics([self._topic], _ASK_S)
        if missing:
            raise BrokerError(
                ErrorCode.TOPICS_MISSING, f"Kafka has no topic {self._topic}: create it first", topic=self._topic
            )

    def write(self, bucket: int, schema: pa.Schema, answered: Answered) -> Records | None:
        for _ in answered():
            pass
        return lambda: (self._record(row) for batch in answered() for row in json_objects(batch))

    def write_rejects(self, lines: Iterable[dict[str, Any]]) -> str:
        return _write_file(self._rejects, lines)

    def clean(self) -> None:
        """Nothing is left: a transaction is whole or not at all."""

    def _record(self, row: dict[str, Any]) -> Outgoing:
        key = row["tenant"].encode()
        return Outgoing(self._topic, json_line(row), key, ((TENANT, key), (CONTENT_TYPE_HEADER, b"application/json")))


def json_objects(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """The rows as JSON has them; columns that were nested JSON in the input are so again."""
    nested = [field.name for field in batch.schema if is_json(field)]
    row: dict[str, Any]
    for row in batch.to_pylist():
        for name in nested:
            row[name] = None if row[name] is None else json.loads(row[name])
        yield row


def _write_file(url: str, lines: Iterable[dict[str, Any]]) -> str:
    folder, _, name = url.rpartition("/")
    Folder(folder or os.curdir).write_lines(name, lines)
    return url
