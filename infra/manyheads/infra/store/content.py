"""What files hold: digests, checks against a reference, copies that appear only when they are whole."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import IO
from uuid import uuid4

from pydantic import ValidationError

from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidRequest
from manyheads.topics.registry import ArtifactRef

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds: its size, at least, and the digest of what was read of it."""

    bytes: int
    sha256: str

    def is_of(self, ref: ArtifactRef) -> bool:
        return self.bytes == ref.bytes and self.sha256 == ref.sha256


def check(found: Content, ref: ArtifactRef, what: str) -> None:
    """Raises ArtifactError(artifact_corrupt) with both sizes and digests unless ``found`` is the content of ``ref``."""
    if not found.is_of(ref):
        raise ArtifactError(
            ErrorCode.ARTIFACT_CORRUPT,
            what,
            artifact=ref.name,
            expected_sha256=ref.sha256,
            found_sha256=found.sha256,
            expected_bytes=ref.bytes,
            found_bytes=found.bytes,
        )


def opened(content: bytes | Path) -> BufferedReader | BytesIO:
    return content.open("rb") if isinstance(content, Path) else BytesIO(content)


def reference(name: str, content: bytes | Path) -> ArtifactRef:
    """The reference of a file to be stored. Raises InvalidRequest(invalid_name), OSError."""
    with opened(content) as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        size = source.seek(0, os.SEEK_END)
    try:
        return ArtifactRef(name=name, sha256=digest, bytes=size)
    except ValidationError:
        raise InvalidRequest(
            ErrorCode.INVALID_NAME,
            f"{name!r:.120} is no artifact name: use up to 100 letters, digits, dots, dashes and underscores",
            length=len(name),
        ) from None


def copy(source: IO[bytes], sink: IO[bytes], ref: ArtifactRef) -> Content:
    """Copy what ``ref`` says there is, and stop one byte beyond it: a source of another size never fills the disk."""
    digest = hashlib.sha256()
    left = ref.bytes + 1
    while left and (chunk := source.read(min(_CHUNK_BYTES, left))):
        digest.update(chunk)
        sink.write(chunk)
        left -= len(chunk)
    return Content(ref.bytes + 1 - left, digest.hexdigest())


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path``, whole and on the disk, if the body succeeds; else it is gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own, so that writers in other processes never share it.
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with part.open("xb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Stamp:
    inode: int
    modified_ns: int
    bytes: int


class Verifier:
    """Hashes a file once and trusts it as long as its inode, modification time and size stay. Thread-safe."""

    def __init__(self) -> None:
        self._stamps: dict[Path, _Stamp] = {}

    def content(self, path: Path, ref: ArtifactRef) -> Content:
        """What ``path`` holds; ``ref``'s own content if this file was already found to be it.

        Raises:
            OSError: the file is not there or cannot be read.
        """
        # Taken before the reading: a file that was written to meanwhile is read again.
        found = path.stat()
        stamp = _Stamp(found.st_ino, found.st_mtime_ns, found.st_size)
        if self._stamps.get(path) == stamp and stamp.bytes == ref.bytes:
            return Content(ref.bytes, ref.sha256)
        with path.open("rb") as file:
            content = Content(stamp.bytes, hashlib.file_digest(file, "sha256").hexdigest())
        if content.is_of(ref):
            self._stamps[path] = stamp
        return content
