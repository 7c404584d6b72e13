"""Rows to local files, sorted into buckets so that all rows of one text are in one: memory holds a bucket at most."""

import os
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manyheads.producers.reprocess.columns import FILE, ROW, TEXT
from manyheads.producers.reprocess.scratch import Scratch

_BUFFERED_BYTES = 64 * 1024 * 1024
_FREE_BYTES = 256 * 1024 * 1024
"""left on the disk for others"""


def bucket_numbers(batch: pa.RecordBatch, buckets: int, *, by_text: bool) -> npt.NDArray[np.int64]:
    """The bucket of each row, the same in every process: by its text, or by its place where it has none."""
    files, rows = batch.column(FILE).to_numpy(), batch.column(ROW).to_numpy()
    # An odd multiplier spreads neighbouring rows evenly.
    numbers: npt.NDArray[np.int64] = ((rows.astype(np.int64) * 2_654_435_761 + files) >> 7) % buckets
    if by_text:
        for index, text in enumerate(batch.column(TEXT).to_pylist()):
            if text is not None:
                numbers[index] = zlib.crc32(text.encode()) % buckets
    return numbers


@dataclass(slots=True)
class _Buffer:
    batches: list[pa.RecordBatch] = field(default_factory=list)
    bytes: int = 0


class Spill:
    """The buckets of a job on this machine's disk; a context manager that deletes them.

    Args:
        folder: where its own folder is made; the system's folder for temporary files if None.
        wanted: the buckets to keep; rows of others are passed over.
    """

    def __init__(self, schema: pa.Schema, wanted: Collection[int], folder: Path | None = None) -> None:
        self.schema = schema
        self._wanted = frozenset(wanted)
        self._scratch = Scratch(folder)
        self._buffers: dict[int, _Buffer] = {}
        self._buffered = 0
        self.rows: dict[int, int] = {}
        """rows of each bucket that has any"""

    def __enter__(self) -> Self:
        self._scratch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scratch.__exit__(kind, error, trace)

    def add(self, batch: pa.RecordBatch, numbers: npt.NDArray[np.int64]) -> None:
        """Rows, and the bucket of each. Raises OSError if the disk is full."""
        order = np.argsort(numbers, kind="stable")
        found, starts = np.unique(numbers[order], return_index=True)
        ends = [*starts[1:], len(order)]
        for bucket, start, end in zip(found.tolist(), starts, ends, strict=True):
            if bucket not in self._wanted:
                continue
            part = batch.take(pa.array(order[start:end]))
            buffer = self._buffers.setdefault(bucket, _Buffer())
            buffer.batches.append(part)
            buffer.bytes += part.nbytes
            self._buffered += part.nbytes
            self.rows[bucket] = self.rows.get(bucket, 0) + part.num_rows
        if self._buffered >= _BUFFERED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered. Raises OSError if the disk is full."""
        _check_room(self._scratch.path, self._buffered)
        for bucket, buffer in self._buffers.items():
            # A file is a sequence of whole streams, so that none stays open between two writes.
            with self._path(bucket).open("ab") as file, pa.ipc.new_stream(file, self.schema) as stream:
                stream.write_table(pa.Table.from_batches(buffer.batches, self.schema).combine_chunks())
        self._buffers.clear()
        self._buffered = 0

    def read(self, bucket: int) -> Iterator[pa.RecordBatch]:
        """The rows of a bucket in the order in which they were added, some thousands at a time. After a flush."""
        path = self._path(bucket)
        if not path.exists():
            return
        with path.open("rb") as file:
            size = path.stat().st_size
            while file.tell() < size:
                with pa.ipc.open_stream(file) as stream:
                    yield from stream

    def drop(self, bucket: int) -> None:
        """The bucket is not needed any more."""
        self._path(bucket).unlink(missing_ok=True)

    def _path(self, bucket: int) -> Path:
        return self._scratch.path / f"{bucket:05}.arrows"


def chosen(batches: Iterable[pa.RecordBatch], *, limit: int | None, sample: float | None) -> Iterator[pa.RecordBatch]:
    """The rows that a job is about: those of the sample, which is always the same, and of them the first."""
    left = limit
    for batch in batches:
        part = batch if sample is None else _sampled(batch, sample)
        if left is not None:
            part = part.slice(0, left)
            left -= part.num_rows
        if part.num_rows:
            yield part
        if left == 0:
            return


def _sampled(batch: pa.RecordBatch, share: float) -> pa.RecordBatch:
    files, rows = batch.column(FILE).to_numpy(), batch.column(ROW).to_numpy()
    places = np.stack([files.astype(np.int64), rows], axis=1)
    drawn = np.fromiter((zlib.crc32(place.tobytes()) for place in places), np.int64, len(places))
    return batch.filter(pa.array(drawn < share * 2**32))


def _check_room(folder: Path, needed: int) -> None:
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if free < needed + _FREE_BYTES:
        raise OSError(f"{folder} has {free:,} bytes left; set TMPDIR to a folder with room for the whole input")
