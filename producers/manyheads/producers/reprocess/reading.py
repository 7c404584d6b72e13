"""Inputs to record batches: what each has, and its rows as they are spilled."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from manyheads.producers.reprocess import json_rows
from manyheads.producers.reprocess.columns import FILE, REASON, ROW, TENANT, TEXT, ExtraColumn, is_json
from manyheads.producers.reprocess.kinds import ColumnKinds
from manyheads.producers.reprocess.options import TOPIC_PREFIX, JobOptions
from manyheads.producers.reprocess.sources import Source, SourceFormat, empty, unreadable
from manyheads.producers.reprocess.topic_rows import TopicReader

_ROWS_AT_ONCE = 8_192
_CSV_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an input has."""

    columns: Callable[[], pa.Schema]
    rows: int
    """about: CSV is not counted before it is read"""

    @property
    def schema(self) -> pa.Schema:
        """Its columns; of a partition, its topic's, as far as partitions were inspected.

        Raises:
            InvalidRequest: the topic is empty.
        """
        return self.columns()


class _TopicColumns:
    """What the partitions of a topic have: one for all, since chance put a record into this one or that."""

    def __init__(self, name: str, options: JobOptions) -> None:
        self._name = name
        self._as_text = (options.tenant_column, options.text_column)
        self._rows = 0
        self._kinds = ColumnKinds(name, strict=False)

    def add(self, rows: Iterator[json_rows.JsonRow]) -> int:
        """The rows of a partition; how many there were."""
        before = self._rows
        for row in rows:
            self._rows += 1
            self._kinds.add(row.number, row.values)
        return self._rows - before

    def schema(self) -> pa.Schema:
        """The columns. Raises InvalidRequest if no partition had a row."""
        if not self._rows:
            raise empty(self._name)
        # A topic cannot be repaired: a row whose tenant or text is of another type is rejected alone.
        return pa.schema(
            [
                pa.field(field.name, pa.string()) if field.name in self._as_text else field
                for field in self._kinds.schema()
            ]
        )


class InputReader:
    """Reads inputs of every kind; ``topics`` reads those that are topics."""

    def __init__(self, options: JobOptions, topics: TopicReader | None = None) -> None:
        self._options = options
        self._topics = topics
        self._topic_columns: dict[str, _TopicColumns] = {}

    def inspect(self, source: Source) -> Inspection:
        """What an input has. JSON is read whole for that. The columns of a partition are for after the topic's others.

        Raises:
            InvalidRequest: it is empty, damaged, or has a column of mixed types.
        """
        match source.format:
            case SourceFormat.PARQUET:
                found = _inspect_parquet(source)
            case SourceFormat.CSV:
                found = _inspect_csv(source)
            case SourceFormat.JSONL:
                found = _inspect_lines(source)
            case SourceFormat.TOPIC:
                return self._inspect_partition(source)  # which may be empty, if another is not
        if not found.rows:
            raise empty(source.name)
        return found

    def batches(
        self, source: Source, file: int, extras: Sequence[ExtraColumn], schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        """The input's rows as they are spilled.

        Args:
            source: the input.
            file: its number.
            extras: the columns that pass through.
            schema: of the spilled rows.

        Raises:
            InvalidRequest: it is damaged.
        """
        if source.format in (SourceFormat.JSONL, SourceFormat.TOPIC):
            yield from json_rows.batches(self._json_rows(source), self._options, extras, schema, file)
            return
        number = 0
        for batch in _parquet(source) if source.format is SourceFormat.PARQUET else _csv(source):
            numbers = pa.array(range(number + 1, number + batch.num_rows + 1), pa.int64())
            own: dict[str, Any] = {
                FILE: pa.repeat(pa.scalar(file, pa.int32()), batch.num_rows),
                ROW: numbers,
                REASON: pa.nulls(batch.num_rows, pa.string()),
                TENANT: pc.cast(_column(batch, self._options.tenant_column), pa.string()),
                TEXT: pc.cast(_column(batch, self._options.text_column), pa.string()),
            }
            for extra in extras:
                own[extra.field.name] = _passed(batch, extra)
            yield pa.record_batch([own[field.name] for field in schema], schema=schema)
            number += batch.num_rows

    def _json_rows(self, source: Source) -> Iterator[json_rows.JsonRow]:
        if source.format is SourceFormat.JSONL:
            return json_rows.lines(source)
        assert self._topics is not None, "an input that is a topic needs a reader of topics"
        return self._topics.rows(source)

    def _inspect_partition(self, source: Source) -> Inspection:
        name = f"{TOPIC_PREFIX}{source.topic}"
        columns = self._topic_columns.setdefault(name, _TopicColumns(name, self._options))
        return Inspection(columns.schema, columns.add(self._json_rows(source)))


def _inspect_lines(source: Source) -> Inspection:
    kinds = ColumnKinds(source.name, strict=True)
    rows = 0
    for row in json_rows.lines(source):
        rows += 1
        kinds.add(row.number, row.values)
    return Inspection(kinds.schema, rows)


def _inspect_parquet(source: Source) -> Inspection:
    with source.open() as stream:
        try:
            file = pq.ParquetFile(stream)
            return _of_file(file.schema_arrow.remove_metadata(), file.metadata.num_rows)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(source.name, error) from error


def _inspect_csv(source: Source) -> Inspection:
    with source.open() as stream:
        try:
            reader = pcsv.open_csv(stream, _csv_reading(), _csv_parsing())
            names = reader.schema.names
            first = next((batch for batch in reader if batch.num_rows), None)
        except UnicodeDecodeError as error:
            raise unreadable(source.name, ValueError("In the CSV header: invalid UTF8 data")) from error
        except (pa.ArrowException, OSError, StopIteration) as error:
            raise _damaged_csv(source, error) from error
    rows = 0 if first is None else max(first.num_rows, source.size // max(1, first.nbytes // first.num_rows))
    return _of_file(pa.schema([(name, pa.string()) for name in names]), rows)


def _of_file(schema: pa.Schema, rows: int) -> Inspection:
    return Inspection(lambda: schema, rows)


def _parquet(source: Source) -> Iterator[pa.RecordBatch]:
    with source.open() as stream:
        try:
            yield from pq.ParquetFile(stream, pre_buffer=False).iter_batches(_ROWS_AT_ONCE)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(source.name, error) from error


def _csv(source: Source) -> Iterator[pa.RecordBatch]:
    names = _inspect_csv(source).schema.names
    # As it is written: a type that is guessed from the first rows may not hold for the others.
    converting = pcsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    with source.open() as stream:
        try:
            yield from pcsv.open_csv(stream, _csv_reading(), _csv_parsing(), converting)
        except (pa.ArrowException, OSError) as error:
            raise _damaged_csv(source, error) from error


def _csv_reading() -> pcsv.ReadOptions:
    return pcsv.ReadOptions(block_size=_CSV_BLOCK_BYTES, use_threads=False)


def _csv_parsing() -> pcsv.ParseOptions:
    return pcsv.ParseOptions(newlines_in_values=True)


def _damaged_csv(source: Source, error: Exception) -> Exception:
    # What comes after the counts is the row itself.
    text = str(error).partition(": Expected ")
    counts = text[2].partition(":")[0]
    shown = f"{text[0]}: expected {counts}" if counts else text[0]
    return unreadable(source.name, ValueError(shown))


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    column = batch.column(batch.schema.get_field_index(name))
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _passed(batch: pa.RecordBatch, extra: ExtraColumn) -> pa.Array:
    index = batch.schema.get_field_index(extra.source)
    if index < 0:
        return pa.nulls(batch.num_rows, extra.field.type)
    column = batch.column(index)
    if is_json(extra.field) and pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, None)  # JSON has no others
    return column if column.type == extra.field.type else pc.cast(column, extra.field.type)
