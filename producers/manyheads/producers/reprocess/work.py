"""What a bucket asks, and what becomes of each of its rows. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from manyheads.producers.answer import Answer
from manyheads.producers.reprocess.columns import FILE, REASON, ROW, TENANT, TEXT
from manyheads.topics import names
from manyheads.topics.errors import ErrorCode, InvalidRequest, ManyheadsError
from manyheads.topics.names import TenantName
from manyheads.topics.text import checked_text

Key = tuple[str, str] | tuple[int, int]
"""what an answer is kept by: tenant and text, or, without de-duplication, file and row"""
Outcome = Answer | ManyheadsError


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: a text, and whose heads are to answer."""

    text: str
    tenants: tuple[TenantName, ...]
    place: tuple[int, int] | None = None
    """file and row, without de-duplication"""

    def key(self, tenant: str) -> Key:
        """What the tenant's answer is kept by."""
        return (tenant, self.text) if self.place is None else self.place


@dataclass(frozen=True, slots=True)
class Row:
    """One spilled row: where it stood and what it asks."""

    file: int
    number: int
    tenant: str | None
    text: str | None
    reason: str | None
    """why it could not be read"""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be processed, and why."""

    file: int
    row: int
    tenant: str | None
    code: str
    reason: str


def rows_of(batch: pa.RecordBatch) -> Iterator[Row]:
    """The rows of a spilled batch."""
    columns = (batch.column(name).to_pylist() for name in (FILE, ROW, TENANT, TEXT, REASON))
    for file, number, tenant, text, reason in zip(*columns, strict=True):
        yield Row(file, number, tenant, text, reason)


def asks_of(batches: Iterable[pa.RecordBatch], *, dedupe: bool) -> list[Ask]:
    """What a bucket asks: each distinct text once for all its tenants, or each row by itself."""
    tenants: dict[str, dict[TenantName, None]] = {}
    single: list[Ask] = []
    for batch in batches:
        for row in rows_of(batch):
            if refusal(row) is not None:
                continue
            assert row.tenant is not None
            assert row.text is not None
            tenant = TenantName(row.tenant)
            if dedupe:
                tenants.setdefault(row.text, {})[tenant] = None
            else:
                single.append(Ask(row.text, (tenant,), (row.file, row.number)))
    return single or [Ask(text, tuple(found)) for text, found in tenants.items()]


def settled(row: Row, answers: Mapping[Key, Outcome], *, dedupe: bool) -> Answer | Reject:
    """What became of a row whose bucket was asked."""
    error = refusal(row)
    if error is None:
        assert row.tenant is not None
        assert row.text is not None
        outcome = answers[(row.tenant, row.text) if dedupe else (row.file, row.number)]
        if isinstance(outcome, Answer):
            return outcome
        error = outcome
    return Reject(row.file, row.number, row.tenant, error.code, error.message)


def refusal(row: Row) -> ManyheadsError | None:
    """Why a row cannot be asked at all."""
    if row.reason is not None:
        return InvalidRequest(ErrorCode.INVALID_ARGUMENT, row.reason)
    if row.tenant is None:
        return InvalidRequest(ErrorCode.INVALID_NAME, "the row has no tenant")
    if row.text is None:
        return InvalidRequest(ErrorCode.TEXT_EMPTY, "the row has no text")
    return _bad_tenant(row.tenant) or _bad_text(row.text)


@lru_cache(maxsize=10_000)
def _bad_tenant(tenant: str) -> ManyheadsError | None:
    try:
        names.tenant(tenant)
    except InvalidRequest as error:
        return error
    return None


def _bad_text(text: str) -> ManyheadsError | None:
    try:
        checked_text(text)
    except InvalidRequest as error:
        return error
    return None
