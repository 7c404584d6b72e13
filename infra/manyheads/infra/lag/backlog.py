"""What waits from an offset on, record by record as far as it was looked at. Pure.

Offsets alone do not tell: a transaction leaves a marker in every partition that it wrote to, aborted records stay in
the log, and compaction leaves gaps. None of them will ever be processed, so none of them waits.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kafka.errors import UnsupportedCodecError
from kafka.record.memory_records import MemoryRecords

_WITH_TRANSACTIONS = 2
"""the format of batches since Kafka 0.11; what is older is counted by its offsets"""


@dataclass(frozen=True, slots=True)
class Aborted:
    """A transaction of ``producer`` that was aborted; its first record has ``first_offset``."""

    producer: int
    first_offset: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """Records from ``start`` on. Those before ``seen_to`` were looked at, the others only counted by their offsets."""

    start: int
    seen_to: int
    records: int = 0
    """committed records from ``start`` to ``seen_to``"""
    oldest_ms: int | None = None
    """the timestamp of the first of them, in ms since 1970"""
    transactional: bool = False
    """whether the last that was looked at belonged to a transaction, so that markers are to be expected"""

    @classmethod
    def at(cls, offset: int) -> "Backlog":
        """What waits from ``offset`` on, before anything was looked at."""
        return cls(offset, offset)

    def size(self, end: int) -> int:
        """Records that wait before ``end``: exact as far as it was looked at; beyond, a marker counts as a record."""
        return self.records + max(0, end - self.seen_to)

    def wants_more(self, end: int) -> bool:
        """Whether to look further: for the oldest record, or for markers."""
        return self.seen_to < end and (self.oldest_ms is None or self.transactional)

    def seen_all(self, end: int) -> "Backlog":
        """Nothing is left before ``end``: what had been there was compacted."""
        return replace(self, seen_to=max(self.seen_to, end))

    def look(self, fetched: bytes, aborted: Sequence[Aborted], end: int) -> "Backlog":
        """Go on with what a fetch at ``seen_to`` brought: whole batches, the last of them perhaps cut off.

        Args:
            fetched: record batches as Kafka sends them.
            aborted: the aborted transactions that the broker named with them.
            end: where to stop.
        """
        pending = deque(sorted(aborted, key=lambda each: each.first_offset))
        aborting: set[int] = set()
        backlog = self
        for batch in MemoryRecords(fetched):
            if batch.magic < _WITH_TRANSACTIONS or batch.base_offset >= end:
                break
            while pending and pending[0].first_offset <= batch.last_offset:
                aborting.add(pending.popleft().producer)
            if batch.is_control_batch:
                aborting.discard(batch.producer_id)
                taken: _Taken | None = None
            elif batch.is_transactional and batch.producer_id in aborting:
                taken = None
            else:
                taken = _take(batch, backlog.seen_to)
            backlog = backlog._after(batch, taken)
        return backlog

    def _after(self, batch: Any, taken: "_Taken | None") -> "Backlog":
        oldest_ms = self.oldest_ms
        if oldest_ms is None and taken is not None:
            oldest_ms = taken.oldest_ms
        return Backlog(
            self.start,
            max(self.seen_to, batch.next_offset),
            self.records + (0 if taken is None else taken.records),
            oldest_ms,
            batch.is_transactional,
        )


@dataclass(frozen=True, slots=True)
class _Taken:
    records: int
    oldest_ms: int


def _take(batch: Any, start: int) -> _Taken | None:
    """The records of a batch from ``start`` on; None if there are none."""
    whole = batch.records_count == batch.next_offset - batch.base_offset
    if whole and batch.base_offset >= start:
        return _Taken(batch.records_count, _first_ms(batch))
    try:
        times = [record.timestamp for record in _records(batch) if record.offset >= start]
    except UnsupportedCodecError:
        # The batch has no gaps, or they are not seen; its records are as old as its first, or a little younger.
        return _Taken(batch.next_offset - max(start, batch.base_offset), _first_ms(batch))
    return _Taken(len(times), times[0]) if times else None


def _records(batch: Any) -> Iterable[Any]:
    return batch  # type: ignore[no-any-return]


def _first_ms(batch: Any) -> int:
    stamped_by_broker = batch.timestamp_type == batch.LOG_APPEND_TIME
    return int(batch.max_timestamp if stamped_by_broker else batch.first_timestamp)
