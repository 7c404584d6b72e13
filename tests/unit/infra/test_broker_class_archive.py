"""Where Java's archive of Kafka's classes is kept, and what Java is told of it; tests/embedded has a broker use one."""

import os
from pathlib import Path

import pytest

from manyheads.infra.broker.class_archive import ClassArchive
from manyheads.infra.broker.java import Java


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two Javas and two jars; the cache is beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("java", "other-java", "a.jar", "b.jar"):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))
    return folder


def archive_of(files: Path, java: str = "java", version: int = 21) -> ClassArchive:
    return ClassArchive.of(Java(files / java, version), f"{files}/a.jar{os.pathsep}{files}/b.jar")


def kept(files: Path, java: str) -> ClassArchive:
    """An archive that a Java wrote."""
    archive = archive_of(files, java)
    draft = files / "draft.jsa"
    draft.write_bytes(java.encode())
    archive.keep(draft)
    assert not draft.exists()
    return archive


def test_it_is_in_the_cache_folder_of_the_user(files: Path) -> None:
    assert archive_of(files).path.parent == files.parent / "cache" / "manyheads" / "kafka-classes"


def test_each_java_and_each_set_of_jars_has_its_own(files: Path) -> None:
    first = archive_of(files).path
    assert archive_of(files).path == first
    assert archive_of(files, "other-java").path != first
    os.utime(files / "b.jar", (1_700_000_001, 1_700_000_001))
    newer = archive_of(files).path
    assert newer != first
    (files / "java").write_bytes(b"upgraded")
    assert archive_of(files).path not in (first, newer)


@pytest.mark.parametrize(
    ("version", "reads", "writes"),
    [
        (17, "-XX:SharedArchiveFile=", "-XX:ArchiveClassesAtExit="),
        (24, "-XX:SharedArchiveFile=", "-XX:ArchiveClassesAtExit="),
        (25, "-XX:AOTCache=", "-XX:AOTCacheOutput="),
    ],
)
def test_java_is_told_in_its_own_words(files: Path, version: int, reads: str, writes: str) -> None:
    archive = archive_of(files, version=version)
    assert not archive.exists
    assert archive.options() == ()
    draft = files / "draft.jsa"
    assert archive.recording(draft) == (f"{writes}{draft}",)
    draft.write_bytes(b"classes")
    archive.keep(draft)
    assert archive.options() == (f"{reads}{archive.path}",)


def test_a_java_that_wrote_nothing_leaves_nothing(files: Path) -> None:
    archive = archive_of(files)
    archive.keep(files / "draft.jsa")
    assert not archive.exists
    assert not archive.path.parent.exists()


def test_those_that_were_used_last_are_kept(files: Path) -> None:
    archives = []
    for number in range(4):
        java = f"java-{number}"
        (files / java).write_bytes(b"x")
        archives.append(kept(files, java))
        os.utime(archives[-1].path, (number, number))
    archives[1].options()  # in use today
    last = kept(files, "java")
    assert [each.exists for each in (*archives, last)] == [False, True, False, True, True]
    assert len(list(last.path.parent.iterdir())) == 3


def test_a_cache_that_cannot_be_written_costs_only_time(files: Path) -> None:
    (files.parent / "cache").write_text("a file where the folder should be")
    draft = files / "draft.jsa"
    draft.write_bytes(b"classes")
    archive = archive_of(files)
    archive.keep(draft)
    assert not archive.exists
