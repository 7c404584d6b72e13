"""Rows of JSON: lines of a file, or records of a topic. A row that is no JSON object has its reason instead."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manyheads.producers.reprocess.columns import FILE, REASON, ROW, TENANT, TEXT, ExtraColumn, is_json
from manyheads.producers.reprocess.options import JobOptions
from manyheads.producers.reprocess.sources import Source, unreadable
from manyheads.producers.reprocess.whole_files import json_line

_ROWS_AT_ONCE = 8_192


@dataclass(frozen=True, slots=True)
class JsonRow:
    """One row: its number, and its values or why it has none."""

    number: int
    values: dict[str, Any]
    reason: str | None = None


def parsed(number: int, text: bytes | None) -> JsonRow:
    """The row that ``text`` is."""
    try:
        values = json.loads(text or b"")
    except (ValueError, RecursionError) as error:
        return JsonRow(number, {}, f"not JSON: {error.__class__.__name__}")
    if not isinstance(values, dict):
        return JsonRow(number, {}, f"a JSON {type(values).__name__}, not an object")
    if not _is_unicode("".join(values)):
        return JsonRow(number, {}, "a column's name has a lone surrogate")
    return JsonRow(number, values)


def lines(source: Source) -> Iterator[JsonRow]:
    """The rows of a file, numbered from 1 by line. Blank lines count and are no rows. Raises InvalidRequest."""
    with source.open() as stream:
        try:
            for number, line in enumerate(io.BufferedReader(stream, 1 << 20), start=1):
                if not line.isspace():
                    yield parsed(number, line)
        except OSError as error:
            raise unreadable(source.name, error) from error


def batches(
    rows: Iterable[JsonRow], options: JobOptions, extras: Sequence[ExtraColumn], schema: pa.Schema, file: int
) -> Iterator[pa.RecordBatch]:
    """The rows as they are spilled, some thousands at a time.

    Args:
        rows: all of one input.
        extras: the columns that pass through.
        schema: of the spilled rows.
        file: the input's number.
    """
    block: list[JsonRow] = []
    for row in rows:
        block.append(row)
        if len(block) == _ROWS_AT_ONCE:
            yield _batch(block, options, extras, schema, file)
            block = []
    if block:
        yield _batch(block, options, extras, schema, file)


def _batch(
    rows: Sequence[JsonRow], options: JobOptions, extras: Sequence[ExtraColumn], schema: pa.Schema, file: int
) -> pa.RecordBatch:
    tenants = [_text(row, options.tenant_column, also_numbers=True) for row in rows]
    texts = [_text(row, options.text_column) for row in rows]
    reasons = [row.reason or tenant[1] or text[1] for row, tenant, text in zip(rows, tenants, texts, strict=True)]
    arrays = {
        FILE: [file] * len(rows),
        ROW: [row.number for row in rows],
        REASON: reasons,
        TENANT: [tenant for tenant, _ in tenants],
        TEXT: [text for text, _ in texts],
    }
    for extra in extras:
        arrays[extra.field.name] = [_value(row.values.get(extra.source), extra.field) for row in rows]
    return pa.record_batch([pa.array(arrays[field.name], field.type) for field in schema], schema=schema)


def _text(row: JsonRow, column: str, also_numbers: bool = False) -> tuple[str | None, str | None]:
    """The value as text, or the reason why it is none."""
    value = row.values.get(column)
    if value is None:
        return None, None
    if also_numbers and isinstance(value, int) and not isinstance(value, bool):
        return str(value), None
    if not isinstance(value, str):
        return None, f"the column {column!r} is {type(value).__name__}, not text"
    # JSON can say a lone surrogate; Arrow cannot.
    return (value, None) if _is_unicode(value) else (None, f"the column {column!r} has a lone surrogate")


def _value(value: Any, field: pa.Field) -> Any:
    if value is None:
        return None
    if is_json(field):
        return json_line(value).decode()
    if pa.types.is_floating(field.type):
        return float(value)
    return value if not isinstance(value, str) or _is_unicode(value) else value.encode("utf-8", "replace").decode()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
