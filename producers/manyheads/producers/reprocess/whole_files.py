"""Files of any file system that are there whole or not at all."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from datetime import time as time_of_day
from typing import Any

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


def json_line(row: dict[str, Any]) -> bytes:
    """A row as JSON. What JSON has no type for is text: a time as ISO 8601 has it."""
    return json.dumps(row, ensure_ascii=False, default=_as_text).encode()


def unwritable(url: str, error: Exception) -> InvalidRequest:
    """For an output that cannot be written."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InvalidRequest(
        ErrorCode.INVALID_ARGUMENT, f"{url} cannot be written: {reason}; check the path and its permissions", output=url
    )


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime | date | time_of_day) else str(value)
