"""A folder for as long as a process lives. What one that was killed has left, the next deletes."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

_PREFIX = "manyheads-reprocess-"
_LOCK = "lock"


class Scratch:
    """A folder of this process's own, for its user's eyes alone; a context manager that deletes it.

    Attributes:
        path: where it is.
    """

    path: Path

    def __init__(self, parent: Path | None = None) -> None:
        """Within ``parent``, or the system's folder for temporary files (``TMPDIR``)."""
        self._parent = parent or Path(tempfile.gettempdir())
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self._delete_abandoned()
        made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=self._parent))
        self._lock = _locked(made)
        # Under its name only now: another process takes a folder without a lock for abandoned.
        self.path = made.rename(made.with_name(made.name.removeprefix(".")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)

    def _delete_abandoned(self) -> None:
        for folder in self._parent.glob(f"{_PREFIX}*"):
            try:
                lock = _locked(folder)
            except OSError:  # its process lives, or it is another user's
                continue
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int:
    """A lock that goes with this process. Raises OSError if another process has it."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
