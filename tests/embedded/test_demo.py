"""The demo as its users see it: it ends well, or is interrupted at any moment, and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

_MARK = "MANYHEADS_TEST_MARK"


class Demo:
    """A running ``manyheads demo`` with a temporary folder of its own, whose processes can be told from all others."""

    def __init__(self, temporary: Path, *arguments: str) -> None:
        self.temporary = temporary
        self.lines: list[str] = []
        self._mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-m", "manyheads.cli", "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {_MARK: self._mark, "TMPDIR": str(temporary), "COLUMNS": "80", "PYTHONUNBUFFERED": "1"},
        )

    def read_until(self, pattern: str | None) -> str:
        """The first line that has ``pattern``; None reads to the end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if pattern is not None and re.search(pattern, line):
                return line
        assert pattern is None, "\n".join(self.lines)
        return ""

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def living(self) -> list[str]:
        """The command lines of its processes that still run, its own aside."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != self.process.pid:
                try:
                    if f"{_MARK}={self._mark}".encode() in (folder / "environ").read_bytes():
                        found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
                except (FileNotFoundError, ProcessLookupError, PermissionError):
                    continue
        return found

    def assert_nothing_is_left(self) -> None:
        until = time.monotonic() + 5  # a guard that lost its parent needs a moment
        while (self.living() or any(self.temporary.iterdir())) and time.monotonic() < until:
            threading.Event().wait(0.05)
        assert self.living() == []
        assert not any(self.temporary.iterdir())
        found = re.search(r"127\.0\.0\.1:(\d+)", self.output)
        if found:
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", int(found[1]))) != 0


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Call it with the demo's arguments; the process is gone after the test, whatever happens."""
    started: list[Demo] = []

    def start(*arguments: str) -> Demo:
        folder = tmp_path / "temporary"
        folder.mkdir()
        started.append(Demo(folder, *arguments))
        return started[-1]

    yield start
    for demo in started:
        demo.process.kill()
        demo.process.communicate()


def test_the_demo_answers_every_request_though_workers_are_killed(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo("--requests", "600", "--kill")
    demo.read_until(None)
    assert demo.process.wait(60) == 0, demo.output
    assert "600 of 600 answered, 0 errors, 0 lost" in demo.output
    assert "kill -9" in demo.output
    assert "\x1b" not in demo.output  # no colours and no progress bar without a terminal
    assert max(map(len, demo.lines)) <= 80
    demo.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("moment", "number", "exit_code"),
    [
        ("jars", signal.SIGINT, 130),
        ("Encoder", signal.SIGINT, 130),
        ("Kafka at", signal.SIGTERM, 143),
        ("head workers", signal.SIGINT, 130),
        ("heads trained", signal.SIGHUP, 129),
    ],
)
def test_an_interrupted_demo_leaves_nothing_behind(
    start_demo: Callable[..., Demo], moment: str, number: signal.Signals, exit_code: int
) -> None:
    demo = start_demo("--requests", "2000")
    demo.read_until(moment)
    demo.process.send_signal(number)
    demo.process.send_signal(number)  # impatience changes nothing
    demo.read_until(None)
    assert demo.process.wait(60) == exit_code, demo.output
    assert "Traceback" not in demo.output
    demo.assert_nothing_is_left()


def test_a_demo_that_stays_shows_its_dashboard_until_it_is_interrupted(
    start_demo: Callable[..., Demo], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = somebody.getsockname()[1]
        monkeypatch.setenv("MANYHEADS_DASHBOARD_PORT", str(taken))
        demo = start_demo("--requests", "20", "--stay")
        demo.read_until("In another terminal")
    assert f": {taken} is taken" in demo.output
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+/", demo.output)
    with urlopen(url + "lag") as page:
        assert "manyheads" in page.read().decode()
    demo.process.send_signal(signal.SIGINT)
    demo.read_until(None)
    assert demo.process.wait(60) == 130, demo.output
    assert "Traceback" not in demo.output
    assert max(map(len, demo.lines)) <= 80
    demo.assert_nothing_is_left()


def test_a_killed_demo_takes_its_processes_along(start_demo: Callable[..., Demo]) -> None:
    demo = start_demo()
    demo.read_until("Kafka at")
    assert len(demo.living()) > 2
    demo.process.kill()
    demo.process.wait(10)
    until = time.monotonic() + 15
    while demo.living() and time.monotonic() < until:
        threading.Event().wait(0.05)
    assert demo.living() == []
