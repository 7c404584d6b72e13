"""What waits in a log: against any log that producers with and without transactions may leave, read in any pieces."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatchBuilder

from manyheads.infra.lag.backlog import Aborted, Backlog

FIRST_MS = 1_700_000_000_000
PLAIN, GZIP, ZSTD = 0, 1, 4
CONTROL = 0x20
BASE_OFFSET, ATTRIBUTES, LAST_DELTA = struct.Struct(">q"), struct.Struct(">h"), struct.Struct(">i")


@dataclass(frozen=True)
class Batch:
    """Records at ``offsets`` within ``first`` to ``last``: compaction has taken the others away."""

    first: int
    last: int
    offsets: tuple[int, ...]
    producer: int | None = None
    """whose transaction it belongs to"""
    marker: bool = False
    codec: int = PLAIN

    def encoded(self) -> bytes:
        transactional = self.producer is not None
        producer = -1 if self.producer is None else self.producer
        # It may decide against compression, and says so in the header.
        compression = GZIP if self.codec == GZIP else PLAIN
        builder = DefaultRecordBatchBuilder(2, compression, transactional, producer, 0, 0, 1 << 20)
        for offset in self.offsets:
            builder.append(offset - self.first, written_ms(offset), None, bytes(100), [])
        data = bytearray(builder.build())
        BASE_OFFSET.pack_into(data, 0, self.first)
        LAST_DELTA.pack_into(data, 23, self.last - self.first)
        (attributes,) = ATTRIBUTES.unpack_from(data, 21)
        ATTRIBUTES.pack_into(
            data, 21, attributes | (CONTROL if self.marker else 0) | (ZSTD if self.codec == ZSTD else 0)
        )
        return bytes(data)


@dataclass(frozen=True)
class Log:
    batches: tuple[Batch, ...]
    aborted: tuple[tuple[Aborted, int], ...]
    """and the offset of the marker"""
    end: int
    waiting: tuple[int, ...]
    """offsets of the records that a consumer will see"""

    def fetch(self, offset: int, size: int) -> tuple[bytes, list[Aborted]]:
        """Whole batches from the one with ``offset`` on, at least one, and a torn one after ``size`` bytes."""
        data = b""
        last = offset
        for batch in self.batches:
            if batch.last < offset:
                continue
            encoded = batch.encoded()
            if data and len(data) + len(encoded) > size:
                data += encoded[: max(0, size - len(data))]
                break
            data += encoded
            last = batch.last
        return data, [each for each, marker in self.aborted if marker >= offset and each.first_offset <= last]


def written_ms(offset: int) -> int:
    return FIRST_MS + offset * 1_000


@st.composite
def logs(draw: st.DrawFn) -> Log:
    batches: list[Batch] = []
    open_since: dict[int, int] = {}
    records: dict[int, list[int]] = {}
    aborted = []
    waiting: list[int] = []
    end = 0
    for _ in range(draw(st.integers(1, 8))):
        producer = draw(st.sampled_from([None, 1, 2]))
        if producer in open_since and draw(st.booleans()):
            batches.append(Batch(end, end, (end,), producer, marker=True))
            since = open_since.pop(producer)
            if draw(st.booleans()):
                aborted.append((Aborted(producer, since), end))
            else:
                waiting += records[producer]
            end += 1
            continue
        count = draw(st.integers(1, 5))
        kept = draw(st.lists(st.integers(end, end + count - 1), unique=True, min_size=1).map(sorted))
        codec = draw(st.sampled_from([PLAIN, GZIP]))
        batches.append(Batch(end, end + count - 1, tuple(kept), producer, codec=codec))
        if producer is None:
            waiting += kept
        elif producer in open_since:
            records[producer] += kept
        else:
            open_since[producer] = end
            records[producer] = list(kept)
        end += count
        end += draw(st.sampled_from([0, 0, 3]))  # whole batches were compacted
    stable = min(open_since.values(), default=end)
    before = tuple(batch for batch in batches if batch.first < stable)
    return Log(before, tuple(aborted), stable, tuple(sorted(each for each in waiting if each < stable)))


def steps(log: Log, start: int, sizes: Sequence[int]) -> Iterator[Backlog]:
    """The backlog after each look, until all was seen."""
    backlog = Backlog.at(start)
    size = cycle(sizes)
    while backlog.seen_to < log.end:
        fetched, aborted = log.fetch(backlog.seen_to, next(size))
        backlog = backlog.look(fetched, aborted, log.end) if fetched else backlog.seen_all(log.end)
        yield backlog


@given(log=logs(), start=st.integers(0, 60), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_what_was_looked_at_is_counted_exactly(log: Log, start: int, sizes: list[int]) -> None:
    waits = [offset for offset in log.waiting if offset >= start]
    for backlog in steps(log, start, sizes):
        seen = [offset for offset in waits if offset < backlog.seen_to]
        assert backlog.records == len(seen)
        assert backlog.oldest_ms == (written_ms(seen[0]) if seen else None)
        assert len(waits) <= backlog.size(log.end) <= max(0, log.end - start), "never less, never more than offsets"
    assert start >= log.end or backlog.size(log.end) == len(waits)


@given(log=logs(), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_it_looks_until_it_knows_the_oldest_and_in_transactions_to_the_end(log: Log, sizes: list[int]) -> None:
    backlog = Backlog.at(0)
    for backlog in steps(log, 0, sizes):
        if not backlog.wants_more(log.end):
            break
    assert backlog.oldest_ms == (written_ms(log.waiting[0]) if log.waiting else None)
    if all(batch.producer is not None for batch in log.batches):
        assert backlog.size(log.end) == len(log.waiting)


def test_it_grows_without_being_looked_at_again() -> None:
    log = Log((Batch(0, 4, (0, 1, 2, 3, 4)),), (), 5, (0, 1, 2, 3, 4))
    backlog = Backlog.at(2).look(*log.fetch(2, 1_000), 5)
    assert (backlog.size(5), backlog.size(9), backlog.wants_more(9)) == (3, 7, False)


def test_the_last_offset_of_a_batch_may_be_compacted_away() -> None:
    batch = Batch(0, 9, (3, 5))
    assert Backlog.at(4).look(batch.encoded(), [], 10) == Backlog(4, 10, 1, written_ms(5))
    assert Backlog.at(6).look(batch.encoded(), [], 10) == Backlog(6, 10)


def test_a_codec_that_is_not_installed_counts_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafka.codec.has_zstd", lambda: False)
    batch = replace(Batch(0, 4, (0, 1, 2, 3, 4)), codec=ZSTD)
    assert Backlog.at(2).look(batch.encoded(), [], 5) == Backlog(2, 5, 3, written_ms(0))


def test_nothing_was_fetched() -> None:
    assert Backlog.at(3).look(b"", [], 9) == Backlog.at(3)
    assert Backlog.at(3).seen_all(9).size(9) == 0
    assert Backlog.at(9).seen_all(4) == Backlog.at(9), "a log does not shrink"
