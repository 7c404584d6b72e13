"""A broker's Java writes an archive of Kafka's classes when it ends, and the next one reads it."""

import os
from pathlib import Path

import pytest

from manyheads.infra.broker import EmbeddedKafka
from manyheads.infra.broker.class_archive import ClassArchive
from manyheads.infra.broker.jars import class_path, jar_folder
from manyheads.infra.broker.java import find_java
from tests.support.missing import missing

_NEEDS_NO_OTHER = 25


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClassArchive:
    """The archive of a user whose cache has the jars and nothing else."""
    class_path()
    jars = jar_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    jar_folder().parent.mkdir(parents=True)
    jar_folder().symlink_to(jars)
    java = find_java()
    own = java.program.resolve().parent.parent / "lib" / "server" / "classes.jsa"
    if java.version < _NEEDS_NO_OTHER and not own.exists():
        missing("a Java with an archive of its own classes", "install a JDK, or Java 25")
    return ClassArchive.of(java, class_path())


def reads(archive: ClassArchive) -> bool:
    """Whether a process has the archive in its memory."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                if str(archive.path) in (process / "maps").read_text():
                    return True
            except OSError:  # it has ended meanwhile, or is somebody else's
                continue
    return False


def test_the_first_broker_writes_it_and_the_next_one_reads_it(archive: ClassArchive) -> None:
    with EmbeddedKafka():
        assert not archive.exists
    assert archive.exists
    with EmbeddedKafka() as kafka:
        assert reads(archive)
        kafka.kill()
        kafka.restart()
        assert reads(archive)
    assert [each.name for each in archive.path.parent.iterdir()] == [archive.path.name]


def test_a_damaged_one_is_passed_over(archive: ClassArchive) -> None:
    archive.path.parent.mkdir()
    archive.path.write_bytes(b"no archive" * 1_000)
    with EmbeddedKafka():
        assert not reads(archive)


def test_a_broker_that_is_killed_leaves_none(archive: ClassArchive) -> None:
    with EmbeddedKafka() as kafka:
        kafka.kill()
    assert not archive.path.parent.exists()
