"""The types of JSON columns, found out by looking at every value."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from manyheads.producers.reprocess.columns import JSON_METADATA, JSON_NUMBERS_METADATA
from manyheads.topics.errors import ErrorCode, InvalidRequest

_INT64 = range(-(1 << 63), 1 << 63)
_TYPES = {
    "text": pa.string(),
    "whole": pa.int64(),
    "number": pa.float64(),
    "large number": pa.string(),
    "boolean": pa.bool_(),
    "nested": pa.string(),
    None: pa.null(),
}
_NUMBERS = {"whole", "number", "large number"}
_METADATA = {"large number": JSON_NUMBERS_METADATA, "nested": JSON_METADATA}


def kind_of(value: Any) -> str | None:
    """``text``, ``whole``, ``number``, ``large number``, ``boolean`` or ``nested``; None for null."""
    match value:
        case None:
            return None
        case bool():
            return "boolean"
        case str():
            return "text"
        case int():
            # A float would round it, or cannot hold it.
            return "whole" if value in _INT64 else "large number"
        case float():
            return "number"
    return "nested"


class ColumnKinds:
    """Learns the columns of one input, row by row.

    Args:
        where: the input's name.
        strict: whether a column whose values are of several kinds is an error; else it is kept as JSON.
    """

    def __init__(self, where: str, *, strict: bool) -> None:
        self._where = where
        self._strict = strict
        self._kinds: dict[str, str | None] = {}

    def add(self, row: int, values: Mapping[str, Any]) -> None:
        """One more row. Raises InvalidRequest for a column of mixed types."""
        kinds = self._kinds
        for name, value in values.items():
            kind = kind_of(value)
            known = kinds.get(name)
            if kind is not None and known != kind:
                kinds[name] = kind if known is None else self._both(name, known, kind, row)
            elif known is None:
                kinds[name] = None

    def schema(self) -> pa.Schema:
        """The columns, in the order in which they were first seen. Of one that is null throughout the type is null."""
        return pa.schema(
            [pa.field(name, _TYPES[kind], metadata=_METADATA.get(kind or "")) for name, kind in self._kinds.items()]
        )

    def _both(self, name: str, known: str, kind: str, row: int) -> str:
        if {known, kind} <= _NUMBERS:
            return "large number" if "large number" in (known, kind) else "number"
        if not self._strict:
            return "nested"
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"the column {name!r} of {self._where} is of mixed types: {known} before row {row:,}, {kind} there; "
            "give it one type, or leave it out",
            column=name,
            row=row,
        )
