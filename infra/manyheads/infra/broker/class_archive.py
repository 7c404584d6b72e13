"""Java's archive of the classes that Kafka loads: with it a broker serves in about half the time.

Java writes it when a broker ends in an orderly way, which takes that one broker some seconds. It is kept in the user's
cache folder, one for each Java and each set of jars. Java passes over an archive that does not fit or is damaged.

Source: JEP 350 (archives written at exit), JEP 514 (its successor, which needs no archive of Java's own classes).
"""

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

from manyheads.infra.broker.jars import jar_folder
from manyheads.infra.broker.java import Java

_logger = logging.getLogger(__name__)

_KEPT = 3
"""archives, of some 60 MB each: those of other Javas and of versions of Kafka that are still in use"""
_ONE_STEP = 25
"""the version of Java from which on an archive needs none of Java's own classes"""


class ClassArchive:
    """One archive, whether it is there yet or not.

    Attributes:
        path: where it is kept.
    """

    def __init__(self, path: Path, version: int) -> None:
        self.path = path
        self._one_step = version >= _ONE_STEP

    @classmethod
    def of(cls, java: Java, class_path: str) -> Self:
        """The archive of a Java and a class path; another one as soon as a file of either is replaced."""
        digest = hashlib.sha256()
        for name in (str(java.program.resolve()), *class_path.split(os.pathsep)):
            status = Path(name).stat()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
        return cls(jar_folder().with_name("kafka-classes") / f"{digest.hexdigest()[:32]}.jsa", java.version)

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def options(self) -> tuple[str, ...]:
        """Of a Java that reads the archive; none if there is none."""
        if not self.exists:
            return ()
        with contextlib.suppress(OSError):  # it is in use: what has not been for longest goes first
            self.path.touch()
        return (f"-XX:AOTCache={self.path}" if self._one_step else f"-XX:SharedArchiveFile={self.path}",)

    def recording(self, draft: Path) -> tuple[str, ...]:
        """Of a Java that writes ``draft`` when it ends."""
        return (f"-XX:AOTCacheOutput={draft}" if self._one_step else f"-XX:ArchiveClassesAtExit={draft}",)

    def keep(self, draft: Path) -> None:
        """Take what a Java wrote that has ended, if it wrote one. A cache that cannot be written costs only time."""
        if not draft.exists():
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".draft-", dir=self.path.parent) as staging:
                Path(shutil.move(draft, staging)).replace(self.path)
            archives = sorted(self.path.parent.glob("*.jsa"), key=lambda each: each.stat().st_mtime, reverse=True)
            for old in archives[_KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            _logger.debug("the archive of Kafka's classes cannot be kept: %s", error)
