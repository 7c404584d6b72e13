"""Resolving the broker's jars: real jgo, against a Maven repository on this machine."""

import gc
import hashlib
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from manyheads.infra.broker.jars import LockedJar, class_path, jar_folder, locked_jars, parse_lock
from manyheads.topics.errors import ArtifactError, ErrorCode


def _jar(artifact: str) -> LockedJar:
    return LockedJar("org.example", artifact, "1.0", hashlib.sha256(artifact.encode()).hexdigest())


JARS = tuple(_jar(name) for name in ("one", "two", "three"))


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requested.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@dataclass
class Repository:
    """A Maven repository that counts what it is asked for."""

    folder: Path
    requested: list[str] = field(default_factory=list)

    def put(self, jar: LockedJar, content: bytes | None = None) -> None:
        path = self.folder / jar.repository_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jar.artifact.encode() if content is None else content)

    def requests_for(self, jar: LockedJar) -> int:
        return sum(path.endswith(jar.file_name) for path in self.requested)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """The only repository that jgo knows, holding all of JARS; an empty HOME, cache and local Maven repository."""
    repository = Repository(tmp_path / "remote")
    for jar in JARS:
        repository.put(jar)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(repository.folder)))
    server.requested = repository.requested  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    config = tmp_path / "jgo.conf"
    config.write_text(f"[repositories]\nhere = http://127.0.0.1:{server.server_port}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(config))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("M2_REPO", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield repository
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_lock_file_names_kafka_and_every_digest() -> None:
    jars = locked_jars()
    assert [jar.version for jar in jars if jar.artifact == "kafka_2.13"] == ["4.3.1"]
    assert all(len(jar.sha256) == 64 and int(jar.sha256, 16) for jar in jars)
    assert len({jar.file_name for jar in jars}) == len(jars), "they share one folder"


def test_the_lock_file_is_read_as_it_is_written() -> None:
    text = "# a remark\n" + "".join(f"{jar.sha256}  {jar.coordinate}\n" for jar in JARS)
    assert parse_lock(text) == JARS


def test_a_cold_cache_is_filled_once(repository: Repository) -> None:
    cold = class_path(JARS)
    assert cold == os.pathsep.join(str(jar_folder() / jar.file_name) for jar in JARS)
    assert [Path(path).read_text() for path in cold.split(os.pathsep)] == ["one", "two", "three"]
    asked = len(repository.requested)
    assert class_path(JARS) == cold
    assert len(repository.requested) == asked, "a warm cache asks nobody"
    assert sorted(path.name for path in jar_folder().iterdir()) == [
        ".lock",
        "one-1.0.jar",
        "three-1.0.jar",
        "two-1.0.jar",
    ]


def test_the_cache_is_where_the_user_says(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert class_path(JARS).startswith(str(tmp_path / "cache" / "manyheads"))


def test_a_jar_of_the_local_repository_is_linked(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    local = Repository(tmp_path / "local")
    local.put(JARS[0])
    local.put(JARS[1], b"another build of it")
    monkeypatch.setenv("M2_REPO", str(local.folder))
    class_path(JARS)
    assert (jar_folder() / JARS[0].file_name).samefile(local.folder / JARS[0].repository_path)
    assert repository.requests_for(JARS[0]) == 0
    assert (jar_folder() / JARS[1].file_name).read_text() == "two", "one that differs is not taken"


def test_a_download_that_differs_is_refused_and_not_kept(repository: Repository) -> None:
    repository.put(JARS[1], b"something else")
    with pytest.raises(ArtifactError) as caught:
        class_path(JARS)
    assert_corrupt(caught.value, JARS[1], b"something else")
    assert not (jar_folder() / JARS[1].file_name).exists()
    repository.put(JARS[1])
    class_path(JARS)  # and the next attempt is not spoilt by the last


def test_a_cached_jar_that_changed_is_refused(repository: Repository) -> None:
    class_path(JARS)
    cached = jar_folder() / JARS[2].file_name
    cached.write_bytes(b"rotten")
    with pytest.raises(ArtifactError) as caught:
        class_path(JARS)
    assert_corrupt(caught.value, JARS[2], b"rotten")
    assert str(cached) in caught.value.message
    cached.unlink()
    class_path(JARS)


def assert_corrupt(error: ArtifactError, jar: LockedJar, content: bytes) -> None:
    found = hashlib.sha256(content).hexdigest()
    assert error.code is ErrorCode.ARTIFACT_CORRUPT
    assert error.details == {"jar": jar.coordinate, "found": found, "expected": jar.sha256}
    for part in (jar.coordinate, found, jar.sha256, "Delete the file"):
        assert part in error.message


# jgo leaves the socket of an answer other than 200 to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_jar_that_nobody_has_is_named(repository: Repository) -> None:
    absent = replace(JARS[0], version="2.0")
    with pytest.raises(ArtifactError, match=r"org\.example:one:2\.0 cannot be downloaded") as caught:
        class_path((*JARS, absent))
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING
    del caught
    gc.collect()


def test_two_processes_fetch_each_jar_once(repository: Repository) -> None:
    code = textwrap.dedent("""
        from manyheads.infra.broker.jars import LockedJar, class_path
        import sys
        print(class_path([LockedJar(*line.split()) for line in sys.stdin]))
    """)
    lines = "".join(f"{jar.group} {jar.artifact} {jar.version} {jar.sha256}\n" for jar in JARS)
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(lines)
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert answers == [class_path(JARS)] * 2
    assert [repository.requests_for(jar) for jar in JARS] == [1, 1, 1]
