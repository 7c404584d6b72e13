"""Files of any file system that are there whole or not at all."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any

import pyarrow as pa
from fsspec.core import url_to_fs

from manyheads.topics.errors import ErrorCode, InvalidRequest


class Folder:
    """A folder of any file system that fsspec knows.

    Args:
        url: where it is; it is made when something is written.
        unfinished: a folder within it for what is not whole yet; None puts it beside what it will be, its name hidden.

    Raises:
        InvalidRequest: there is no such file system, or what it needs is not installed.
    """

    def __init__(self, url: str, unfinished: str | None = None) -> None:
        self.url = url.rstrip("/") or "/"
        self._unfinished = unfinished
        try:
            self._filesystem, root = url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise unwritable(url, error) from error
        self._root = root.rstrip("/")
        protocol = self._filesystem.protocol
        self._is_local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    @contextmanager
    def replacing(self, name: str) -> Iterator[Any]:
        """A file that takes the place of ``name`` if the body succeeds. Raises OSError."""
        unique = os.urandom(8).hex()
        beside = f".{name}.{unique}" if self._unfinished is None else f"{self._unfinished}/{unique}"
        path, temporary = self._path(name), self._path(beside)
        for folder in (path.rpartition("/")[0], temporary.rpartition("/")[0]):
            self._filesystem.makedirs(folder, exist_ok=True)
        try:
            with self._filesystem.open(temporary, "wb") as sink:
                yield sink
                sink.flush()
                if self._is_local:
                    os.fsync(sink.fileno())
            self._filesystem.mv(temporary, path)
        except BaseException:
            with suppress(OSError):
                self._filesystem.rm_file(temporary)
            raise

    def write_lines(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """A file of JSON lines. Raises OSError."""
        with self.replacing(name) as sink:
            for row in rows:
                sink.write(json_line(row) + b"\n")

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none. Raises OSError."""
        path = self._path(name)
        if not self._filesystem.exists(path):
            return None
        content: bytes = self._filesystem.cat_file(path)
        return content

    def clean(self) -> None:
        """Delete the folder of what is unfinished: what processes that died have left."""
        if self._unfinished is None:
            return
        folder = self._path(self._unfinished)
        with suppress(OSError):
            if self._filesystem.exists(folder):
                self._filesystem.rm(folder, recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def json_line(value: Any) -> bytes:
    """A row, or one value, as JSON.

    What JSON has no type for is text: a time as ISO 8601 has it. NaN and infinities are null, a lone surrogate is
    ``?``.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_as_text)
    except ValueError:  # NaN or an infinity, however deep within
        loose = json.dumps(value, ensure_ascii=False, default=_as_text)
        text = json.dumps(json.loads(loose, parse_constant=lambda _: None), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def python_values(column: pa.Array) -> list[Any]:
    """The values of a column for :func:`json_line`; times and durations that Python has no type for as text."""
    if "[ns" not in str(column.type):  # of its values, or of what is nested in them
        try:
            values: list[Any] = column.to_pylist()
        except (ValueError, OverflowError):  # the year 10,000 for one
            pass
        else:
            return values
    return [_python_value(scalar) for scalar in column]


def unwritable(url: str, error: Exception) -> InvalidRequest:
    """For an output that cannot be written."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InvalidRequest(
        ErrorCode.INVALID_ARGUMENT, f"{url} cannot be written: {reason}; check the path and its permissions", output=url
    )


def _python_value(scalar: pa.Scalar) -> Any:
    if not scalar.is_valid:
        return None
    match scalar:
        case pa.DictionaryScalar():
            return _python_value(scalar.value)
        case pa.StructScalar():
            return {name: _python_value(value) for name, value in scalar.items()}
        case pa.MapScalar():
            keys, values = scalar.values.flatten()
            return [(_python_value(key), _python_value(value)) for key, value in zip(keys, values, strict=True)]
        case pa.ListScalar():
            return [_python_value(value) for value in scalar.values]
    return _plain_value(scalar)


def _plain_value(scalar: pa.Scalar) -> Any:
    try:
        return _with_nanoseconds(scalar) if "[ns" in str(scalar.type) else scalar.as_py()
    except (ValueError, OverflowError):
        return scalar.cast(pa.string()).as_py()


def _with_nanoseconds(scalar: pa.Scalar) -> Any:
    # pyarrow gives nanoseconds to pandas, which need not be installed.
    whole, rest = divmod(scalar.value, 1_000)
    match scalar:
        case pa.TimestampScalar():
            kind, length = pa.timestamp("us", scalar.type.tz), len("2026-01-01T00:00:00.000000")
        case pa.Time64Scalar():
            kind, length = pa.time64("us"), len("00:00:00.000000")
        case _:
            kind, length = pa.duration("us"), 0
    value = pa.scalar(whole, kind).as_py()
    if not rest:
        return value
    if isinstance(value, timedelta):
        return f"{value}{'' if value.microseconds else '.000000'}{rest:03}"
    text = value.isoformat(timespec="microseconds")
    return f"{text[:length]}{rest:03}{text[length:]}"


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime | date | time_of_day) else str(value)
