"""Put files into the model store and fetch them, checked."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import IO
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

from manyheads.infra.store.content import Verifier, check, copy, opened, reference, replacing
from manyheads.infra.telemetry import event
from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidSettings, ManyheadsError
from manyheads.topics.registry import ArtifactRef

_log = logging.getLogger(__name__)
_LOCKS = 16


class ModelStore:
    """Files by their sha256, under ``<url>/sha256/<first two digits>/<digest>``. Thread-safe.

    A store in a local folder is read in place. Any other store is copied, file by file, into a local cache, which
    several processes may share. Either way nothing is handed out before its size and digest are checked, and a file
    that changed since is noticed.
    """

    def __init__(self, url: str, cache_dir: Path | None = None) -> None:
        """Open the store at ``url``: a folder, or any URL that fsspec opens, such as ``s3://models/manyheads``.

        Args:
            url: the store's place.
            cache_dir: where files of a remote store are kept, ``~/.cache/manyheads/artifacts`` unless given. Given
                for a local folder, it is used for that too: worth it where the folder is a slow network mount.

        Raises:
            InvalidSettings: fsspec cannot open the URL.
        """
        shown = _without_secrets(url)
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError, OSError) as error:
            raise InvalidSettings(
                ErrorCode.INVALID_SETTINGS,
                f"the model store {shown} cannot be opened ({error}); use a folder or a URL that fsspec opens, "
                "and install what it needs, such as s3fs",
                setting="store_url",
            ) from error
        self._local = isinstance(self._files, LocalFileSystem)
        self.url: str = self._root if self._local else shown
        self._in_place = self._local and cache_dir is None
        self._cache_dir = cache_dir or Path.home() / ".cache" / "manyheads" / "artifacts"
        self._verifier = Verifier()
        # A digest always has the same lock, so a file is downloaded once however many threads want it.
        self._locks = tuple(Lock() for _ in range(_LOCKS))

    def __repr__(self) -> str:
        return f"ModelStore({self.url!r})"

    @property
    def folder(self) -> Path:
        """The folder of this machine that its files take room in: a local store's own, or the cache."""
        return Path(self._root) if self._in_place else self._cache_dir

    def put(self, name: str, content: bytes | Path) -> ArtifactRef:
        """Store ``content`` under its digest; storing the same again changes nothing.

        Args:
            name: the file's role within its model, such as ``model.onnx``.
            content: the bytes, or a file that holds them.

        Raises:
            InvalidRequest: invalid_name for a name that is no file name.
            ArtifactError: artifact_missing if ``content`` cannot be read or the store cannot be written;
                artifact_corrupt if the file changed while it was stored.
        """
        try:
            ref = reference(name, content)
        except OSError as error:
            raise ArtifactError(
                ErrorCode.ARTIFACT_MISSING, f"{name} cannot be read from {content!s} ({error})", artifact=name
            ) from error
        try:
            if not self._stored_locally(ref):
                with opened(content) as source, self._writing(ref) as sink:
                    check(copy(source, sink, ref), ref, f"{name} changed while it was stored; store it again")
        except OSError as error:
            raise self._missing(ref, f"cannot be written ({error}); check that the store is there") from error
        return ref

    def fetch(self, ref: ArtifactRef) -> Path:
        """A local file with exactly the content of ``ref``. Do not write to it.

        Costs one ``stat`` once the file was verified by this object and has not changed.

        Raises:
            ArtifactError: artifact_missing if the store does not have it or cannot be reached; artifact_corrupt if
                what the store has is not what ``ref`` says.
        """
        try:
            with self._locks[int(ref.sha256[:2], 16) % _LOCKS]:
                return self._fetch_in_place(ref) if self._in_place else self._fetch_cached(ref)
        except (ManyheadsError, MemoryError):
            raise
        except Exception as error:  # file systems let through what their clients raise, which is no OSError
            raise self._unreadable(ref, error) from error

    def remove(self, ref: ArtifactRef) -> bool:
        """Delete the file from the store and from this machine's cache; one that is not there is fine.

        Nobody else may need it: see :meth:`manyheads.infra.registry.RegistrySnapshot.file_users`.

        Returns:
            Whether the store had it.

        Raises:
            ArtifactError: artifact_missing if the store does not let us delete it.
        """
        with self._locks[int(ref.sha256[:2], 16) % _LOCKS]:
            try:
                removed = self._remove_stored(self._target(ref))
                if not self._in_place:
                    self._cached(ref).unlink(missing_ok=True)
            except OSError as error:
                raise self._missing(ref, f"cannot be deleted ({error}); check the rights to the store") from error
        return removed

    def inspect(self, ref: ArtifactRef, *, deep: bool = False) -> None:
        """Check that the store has ``ref`` and lets us read it; nothing is copied into the cache.

        Args:
            ref: the file.
            deep: read all of it and compare the digest; else its first byte, and the size.

        Raises:
            ArtifactError: artifact_missing if the store does not have it or cannot be read; artifact_corrupt if what
                the store has is not what ``ref`` says.
        """
        target, damaged = self._target(ref), f"{self._shown(ref)} is damaged; store the file again"
        try:
            with self._files.open(target, "rb") as source:
                if deep:
                    with Path(os.devnull).open("wb") as nowhere:
                        check(copy(source, nowhere, ref), ref, damaged)
                else:
                    source.read(1)
            size = int(self._files.size(target))
        except OSError as error:
            raise self._unreadable(ref, error) from error
        if size != ref.bytes:
            raise ArtifactError(
                ErrorCode.ARTIFACT_CORRUPT, damaged, artifact=ref.name, expected_bytes=ref.bytes, found_bytes=size
            )

    def _fetch_in_place(self, ref: ArtifactRef) -> Path:
        path = Path(self._target(ref))
        found = self._verifier.content(path, ref)
        check(found, ref, f"{self._shown(ref)} is damaged; store the file again")
        return path

    def _fetch_cached(self, ref: ArtifactRef) -> Path:
        path = self._cached(ref)
        try:
            found = self._verifier.content(path, ref)
        except FileNotFoundError:
            pass
        else:
            if found.is_of(ref):
                return path
            event(_log, "artifact_cache_damaged", level=logging.WARNING, artifact=ref.name, expected=ref.sha256)
        with self._files.open(self._target(ref), "rb") as source, replacing(path) as sink:
            found = copy(source, sink, ref)
            check(found, ref, f"{self._shown(ref)} is damaged; store the file again")
        # Hashed once more from the disk, where it is going to be read from.
        check(self._verifier.content(path, ref), ref, f"the copy {path} is damaged; check the disk")
        return path

    def _remove_stored(self, target: str) -> bool:
        try:
            # Asked first, because an object store deletes what is not there without a word.
            self._files.info(target)
            self._files.rm_file(target)
        except FileNotFoundError:
            return False
        return True

    def _stored_locally(self, ref: ArtifactRef) -> bool:
        path = Path(self._target(ref))
        return self._local and path.exists() and self._verifier.content(path, ref).is_of(ref)

    @contextmanager
    def _writing(self, ref: ArtifactRef) -> Iterator[IO[bytes]]:
        """A file to write that stays in the store only if the body succeeds."""
        target = self._target(ref)
        if self._local:
            with replacing(Path(target)) as sink:
                yield sink
            return
        self._files.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        try:
            with self._files.open(target, "wb") as sink:
                yield sink
        except BaseException:
            # Most remote file systems publish what was written when the file is closed, whatever happened.
            with suppress(OSError):
                self._files.rm_file(target)
            raise

    def _cached(self, ref: ArtifactRef) -> Path:
        return self._cache_dir / "sha256" / ref.sha256[:2] / ref.sha256

    def _target(self, ref: ArtifactRef) -> str:
        return f"{self._root.rstrip('/')}/sha256/{ref.sha256[:2]}/{ref.sha256}"

    def _shown(self, ref: ArtifactRef) -> str:
        return f"{ref.name} at {self.url.rstrip('/')}/sha256/{ref.sha256[:2]}/{ref.sha256}"

    def _unreadable(self, ref: ArtifactRef, error: Exception) -> ArtifactError:
        if isinstance(error, FileNotFoundError):
            return self._missing(ref, "is not there; store it again, or point MANYHEADS_STORE_URL to where it is")
        return self._missing(
            ref, f"cannot be read ({error or type(error).__name__}); check that the store can be reached"
        )

    def _missing(self, ref: ArtifactRef, what: str) -> ArtifactError:
        return ArtifactError(
            ErrorCode.ARTIFACT_MISSING, f"{self._shown(ref)} {what}", url=self.url, artifact=ref.name, sha256=ref.sha256
        )


def _without_secrets(url: str) -> str:
    """The URL without user name, password and query, fit for a message."""
    parts = urlsplit(url)
    if not parts.scheme or not parts.netloc:
        return url
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
