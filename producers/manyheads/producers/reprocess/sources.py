"""Which inputs there are: paths, globs and URLs to files that exist."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from manyheads.producers.reprocess.options import TOPIC_PREFIX
from manyheads.topics.errors import ErrorCode, InvalidRequest


class SourceFormat(StrEnum):
    """What an input is."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"
    TOPIC = "topic"


_FORMATS = {
    ".parquet": SourceFormat.PARQUET,
    ".pq": SourceFormat.PARQUET,
    ".csv": SourceFormat.CSV,
    ".jsonl": SourceFormat.JSONL,
    ".ndjson": SourceFormat.JSONL,
    ".json": SourceFormat.JSONL,
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class Source:
    """One input."""

    name: str
    """its path or URL; for a topic ``topic:NAME``, and for one partition of it ``topic:NAME/NUMBER``"""
    format: SourceFormat
    size: int
    """bytes; for a partition, records"""
    compression: str | None = None
    start: int = 0
    """of a partition, the first offset"""
    end: int = 0
    """of a partition, the offset after the last"""

    @property
    def topic(self) -> str:
        """The topic's name, of an input that is one."""
        return self.name.removeprefix(TOPIC_PREFIX).partition("/")[0]

    @property
    def partition(self) -> int:
        """The number, of an input that is a partition."""
        return int(self.name.rpartition("/")[2])

    @contextmanager
    def open(self) -> Iterator[Any]:
        """The file's content, decompressed, as a file object that pyarrow reads.

        Raises:
            InvalidRequest: it cannot be read.
        """
        with ExitStack() as resources:
            try:
                file = resources.enter_context(fsspec.open(self.name, "rb"))
            except OSError as error:
                raise unreadable(self.name, error) from error
            stream = resources.enter_context(pa.PythonFile(file, mode="r"))
            if self.compression is not None:
                stream = resources.enter_context(pa.CompressedInputStream(stream, self.compression))
            yield stream


def find_sources(inputs: Iterable[str], output: str = "") -> tuple[Source, ...]:
    """The files that the inputs name, each once; by name within an input. Topics come with a size of 0.

    A path that is there is meant as it stands, a pattern or not. Of a folder, named or matched, the files of a known
    kind are read.

    Args:
        inputs: paths, globs, URLs and topics.
        output: a folder, path or URL, whose files are no inputs: the next run would find what this one wrote. Empty:
            there is none.

    Raises:
        InvalidRequest: a name or a glob that matches nothing, a file of no known kind, or an empty one.
    """
    own = _place(output) if output else None
    found: dict[str, Source] = {}
    for each in inputs:
        if each.startswith(TOPIC_PREFIX):
            found.setdefault(each, Source(each, SourceFormat.TOPIC, 0))
            continue
        placed = [(_place(name), name, size) for name, size in _files(each)]
        others = [file for file in placed if own is None or not _is_below(file[0], own)]
        if not others:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT,
                f"{each} matches nothing but what lies in {output}, the output, which is not read: take another --out",
                input=each,
            )
        for place, name, size in others:
            found.setdefault(place, _file(name, size))
    return tuple(found.values())


def unreadable(name: str, error: Exception) -> InvalidRequest:
    """For an input that is there and cannot be read."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InvalidRequest(
        ErrorCode.INVALID_ARGUMENT, f"{name} cannot be read: {reason}; check the file and its permissions", file=name
    )


def _files(pattern: str) -> Sequence[tuple[str, int]]:
    try:
        found = _remote_files(pattern) if "://" in pattern else _local_files(pattern)
    except (OSError, ImportError, ValueError) as error:
        raise unreadable(pattern, error) from error
    if not found:
        magic = glob.has_magic(pattern)
        what = "matches no file" if magic else "is no file, or a folder without files of a kind that is known"
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"{pattern} {what}: check the path"
            + (", and quote the pattern if the shell must not see it" if magic else ""),
            input=pattern,
        )
    return found


def _local_files(pattern: str) -> list[tuple[str, int]]:
    # Strings throughout, as URLs are.
    def inside(folder: str) -> list[str]:
        return glob.glob(f"{glob.escape(folder.rstrip('/'))}/**/*", recursive=True)  # noqa: PTH207

    matched = [pattern] if os.path.lexists(pattern) else glob.glob(pattern, recursive=True)  # noqa: PTH207
    names = _with_insides(matched, os.path.isdir, inside)
    return [(name, os.path.getsize(name)) for name in names if os.path.isfile(name)]  # noqa: PTH113, PTH202


def _remote_files(pattern: str) -> list[tuple[str, int]]:
    filesystem, path = url_to_fs(pattern)
    matched = [path] if filesystem.exists(path) else filesystem.glob(path) if glob.has_magic(pattern) else []
    files = [name for name in _with_insides(matched, filesystem.isdir, filesystem.find) if filesystem.isfile(name)]
    return [(filesystem.unstrip_protocol(name), int(filesystem.size(name) or 0)) for name in files]


def _with_insides(
    matched: Iterable[str], is_folder: Callable[[str], bool], inside: Callable[[str], Iterable[str]]
) -> list[str]:
    """The names in order; instead of a folder what is in it and of a known kind."""
    names: set[str] = set()
    for name in matched:
        names.update([each for each in inside(name) if _format_of(each)] if is_folder(name) else [name])
    return sorted(names)


def _place(name: str) -> str:
    """One name for a file or a folder, however it is spelt."""
    if "://" not in name:
        return os.path.realpath(name)
    filesystem, path = url_to_fs(name)
    if isinstance(filesystem, LocalFileSystem):
        return os.path.realpath(str(path))
    return str(filesystem.unstrip_protocol(path))


def _is_below(place: str, folder: str) -> bool:
    return place.startswith(folder.rstrip("/") + "/")


def _format_of(name: str) -> tuple[SourceFormat, str | None] | None:
    path = PurePosixPath(name)
    compression = _COMPRESSIONS.get(path.suffix.lower())
    kind = _FORMATS.get((path.with_suffix("") if compression else path).suffix.lower())
    if kind is None or (compression and kind is SourceFormat.PARQUET):
        return None
    return kind, compression


def _file(name: str, size: int) -> Source:
    kind = _format_of(name)
    if kind is None:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"{name} is of no kind that is known by its name: .parquet, .csv, .jsonl, the latter two also with .gz or "
            ".zst; rename it",
            file=name,
        )
    if size == 0:
        raise empty(name)
    return Source(name, kind[0], size, kind[1])


def empty(name: str) -> InvalidRequest:
    """For an input without rows."""
    return InvalidRequest(
        ErrorCode.INVALID_ARGUMENT, f"{name} is empty: leave it out, or look at what should have written it", file=name
    )
