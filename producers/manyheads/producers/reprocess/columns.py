"""What a row has: as it is spilled, and as it is written."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa

from manyheads.producers.reprocess.options import JobOptions
from manyheads.topics.errors import ErrorCode, InvalidRequest

FILE, ROW, REASON, TENANT, TEXT = (f"manyheads:{name}" for name in ("file", "row", "reason", "tenant", "text"))
"""columns of every spilled row, whatever the input calls its own; the others pass through"""

JSON_METADATA = {b"manyheads": b"json"}
"""of a text column whose values are JSON: nested values of JSON lines"""
JSON_NUMBERS_METADATA = JSON_METADATA | {b"manyheads.json": b"numbers"}
"""of one whose values are all numbers, whole ones beyond int64 among them"""

_OWN = pa.schema(
    [
        pa.field(FILE, pa.int32(), nullable=False),
        pa.field(ROW, pa.int64(), nullable=False),
        pa.field(REASON, pa.string()),
        pa.field(TENANT, pa.string()),
        pa.field(TEXT, pa.string()),
    ]
)

_ENTITY = pa.struct(
    [
        ("label", pa.string()),
        ("text", pa.string()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("confidence", pa.float64()),
    ]
)
_VERSIONS = pa.struct([("head", pa.string()), ("encoder", pa.string()), ("space", pa.string())])
_TIMINGS = pa.struct(
    [
        ("encoder_queue_ms", pa.float64()),
        ("encoder_compute_ms", pa.float64()),
        ("head_queue_ms", pa.float64()),
        ("head_compute_ms", pa.float64()),
    ]
)
RESULT_FIELDS: tuple[pa.Field, ...] = (
    pa.field("input_file", pa.string()),
    pa.field("input_row", pa.int64()),
    pa.field("tenant", pa.string()),
    pa.field("text", pa.string()),
    pa.field("intent", pa.string()),
    pa.field("confidence", pa.float64()),
    pa.field("entities", pa.list_(_ENTITY)),
    pa.field("versions", _VERSIONS),
    pa.field("timings", _TIMINGS),
    pa.field("truncated", pa.bool_()),
)


@dataclass(frozen=True, slots=True)
class ExtraColumn:
    """A column that passes through."""

    source: str
    """its name in the input"""
    field: pa.Field
    """its name and type in the output"""


def is_json(field: pa.Field) -> bool:
    """Whether a column's text is JSON that was nested in the input."""
    return bool((field.metadata or {}).items() >= JSON_METADATA.items())


def extra_columns(schema: pa.Schema, options: JobOptions, where: str) -> tuple[ExtraColumn, ...]:
    """The columns of an input that pass through.

    One that has the name of a result column becomes ``input_<name>``.

    Raises:
        InvalidRequest: the tenant's or the text's column is missing, or is of another type; several columns have one
            name.
    """
    _check(schema, options.tenant_column, where, "--tenant-column", also_numbers=True)
    _check(schema, options.text_column, where, "--text-column")
    _check_names(schema, where)
    taken = {field.name for field in RESULT_FIELDS}
    extras = []
    for field in schema:
        if field.name in (options.tenant_column, options.text_column):
            continue
        name = field.name
        while name in taken:
            name = f"input_{name}"
        taken.add(name)
        extras.append(ExtraColumn(field.name, field.with_name(name).with_nullable(True)))
    return tuple(extras)


def spilled_schema(extras: Sequence[ExtraColumn]) -> pa.Schema:
    """What a spilled row has."""
    return pa.schema([*_OWN, *(extra.field for extra in extras)])


def output_schema(extras: Sequence[pa.Field], *, with_text: bool) -> pa.Schema:
    """What an output row has: the result, then the columns that pass through."""
    return pa.schema([*(field for field in RESULT_FIELDS if with_text or field.name != "text"), *extras])


def common_schema(schemas: Sequence[tuple[str, pa.Schema]]) -> pa.Schema:
    """The columns of all inputs, each with a type that holds all of its values.

    Args:
        schemas: each input's name and what it has.

    Raises:
        InvalidRequest: a column is of one type here and of another there.
    """
    fields: dict[str, tuple[str, pa.Field]] = {}
    for where, schema in schemas:
        for field in schema:
            known = fields.get(field.name)
            fields[field.name] = (where, field) if known is None else _both(*known, where, field)
    return pa.schema([_text_if_null(field) for _, field in fields.values()])


def _both(first: str, known: pa.Field, where: str, field: pa.Field) -> tuple[str, pa.Field]:
    """A column with a type that holds what it has in one input and in another, and an input of that type."""
    if pa.types.is_null(field.type):
        return first, known
    if pa.types.is_null(known.type):
        return where, field
    if _are_numbers(known) and _are_numbers(field) and (is_json(known) or is_json(field)):
        return first, known if is_json(known) else field
    if is_json(known) and is_json(field) and not _are_numbers(known) and not _are_numbers(field):
        return first, known
    if not is_json(known) and not is_json(field):
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError):
            both = pa.unify_schemas([pa.schema([known]), pa.schema([field])], promote_options="permissive")
            return first, both.field(0)
    raise InvalidRequest(
        ErrorCode.INVALID_ARGUMENT,
        f"the column {field.name!r} is {_shown(field)} in {where} and {_shown(known)} in {first} or another input: "
        "give it one type, or process the files as jobs of their own",
        column=field.name,
    )


def _text_if_null(field: pa.Field) -> pa.Field:
    return field.with_type(pa.string()) if pa.types.is_null(field.type) else field


def _are_numbers(field: pa.Field) -> bool:
    if is_json(field):
        return bool(field.metadata.items() >= JSON_NUMBERS_METADATA.items())
    return bool(pa.types.is_integer(field.type) or pa.types.is_floating(field.type))


def _shown(field: pa.Field) -> str:
    if not is_json(field):
        return str(field.type)
    return "whole numbers beyond int64" if _are_numbers(field) else "nested JSON"


def _check_names(schema: pa.Schema, where: str) -> None:
    for name, count in Counter(schema.names).items():
        if count > 1:
            what = f"{count} columns {name!r}" if name else "several columns without a name in its header"
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT,
                f"{where} has {what}: give each a name of its own, or leave all but one out",
                column=name,
                file=where,
            )


def _check(schema: pa.Schema, column: str, where: str, option: str, also_numbers: bool = False) -> None:
    if schema.names.count(column) != 1:
        known = ", ".join(repr(name) for name in schema.names[:20]) or "none"
        found = "more than one column" if column in schema.names else "no column"
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT, f"{where} has {found} {column!r}; it has {known}: see {option}", column=column
        )
    field = schema.field(column)
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    is_text = (is_text or pa.types.is_null(kind)) and not is_json(field)
    if not is_text and not (also_numbers and pa.types.is_integer(kind)):
        shown = _shown(field.with_type(kind))
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"the column {column!r} of {where} is {shown}, not text: name another, or convert it ({option})",
            column=column,
            type=shown,
        )
