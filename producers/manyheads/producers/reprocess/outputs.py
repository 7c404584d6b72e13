"""Answered rows to files, or to a topic."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from manyheads.infra.kafka.confluent import ConfluentTransport
from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.settings import KafkaSettings
from manyheads.producers.reprocess.columns import is_json
from manyheads.producers.reprocess.options import Destination, OutputFormat
from manyheads.producers.reprocess.whole_files import Folder, json_line, python_values, unwritable
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

    def claim(self, done: int) -> None:
        """Make sure that it can be written, that it is this job's, and that it has the ``done`` buckets.

        Raises:
            InvalidRequest: it is another job's, has lost what was done, or cannot be written.
            BrokerError: it is a topic that Kafka does not have.
        """

    def write(self, bucket: int, schema: pa.Schema, answered: Answered) -> Records | None:
        """Write a bucket, once more if it is there already; or the records to be committed with its completion.

        Iterates ``answered`` to the end once at least. Raises OSError.
        """

    def write_rejects(self, lines: Iterable[dict[str, Any]]) -> str:
        """All rejected rows of the job, in place of what was written before; where they are. Raises InvalidRequest."""

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

    def claim(self, done: int) -> None:
        _check_is_no_folder(self._rejects)
        url = self._folder.url
        try:
            known = self._folder.read(_JOB_FILE)
            if known is None and done:
                raise InvalidRequest(
                    ErrorCode.INVALID_ARGUMENT,
                    f"{done:,} buckets of job {self._job} are done, and their output is not in {url}: bring it back "
                    "(all processes of a job write to one place), or begin anew with another --job",
                    job=self._job,
                    done=done,
                )
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
        # Tenant by tenant: a process may not have as many files open as a bucket has tenants.
        rows = pa.Table.from_batches(batches, schema).sort_by("tenant")
        own, first = rows.remove_column(index), 0
        for each in pc.value_counts(rows.column(index)).to_pylist():
            name = f"tenant={each['values']}/part-{bucket:05}.parquet"
            with self._folder.replacing(name) as sink:
                pq.write_table(own.slice(first, each["counts"]), sink, compression="zstd")
            first += each["counts"]


class _TopicOutput:
    """Records keyed by tenant, each a row as JSON, committed with their bucket: for readers of committed records."""

    def __init__(self, settings: KafkaSettings, topic: str, rejects: str) -> None:
        self._settings = settings
        self._topic = topic
        self._rejects = rejects

    def claim(self, done: int) -> None:
        _check_is_no_folder(self._rejects)
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
    columns = [python_values(column) for column in batch.columns]
    for values in zip(*columns, strict=True):
        row = dict(zip(batch.schema.names, values, strict=True))
        for name in nested:
            row[name] = None if row[name] is None else json.loads(row[name])
        yield row


def _check_is_no_folder(url: str) -> None:
    try:
        filesystem, path = url_to_fs(url)
        is_folder = filesystem.isdir(path)
    except (ImportError, ValueError, OSError) as error:
        raise unwritable(url, error) from error
    if is_folder:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT, f"{url} is a folder: name a file for the rejected rows", output=url
        )


def _write_file(url: str, lines: Iterable[dict[str, Any]]) -> str:
    folder, _, name = url.rpartition("/")
    try:
        Folder(folder or os.curdir).write_lines(name, lines)
    except OSError as error:
        raise unwritable(url, error) from error
    return url
