"""The guard of child processes, with real, small programs."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from manyheads.infra.process import Guard
from manyheads.topics.errors import ErrorCode, InternalError

SLEEPER = """
    import os, time
    print(os.getpid(), flush=True)
    time.sleep(600)
"""
STUBBORN = """
    import os, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(os.getpid(), flush=True)
    time.sleep(600)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition: Callable[[], object], within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    waiter = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        waiter.wait(0.01)
    return True


def pid_in(log: Path) -> int:
    assert eventually(lambda: log.exists() and log.read_text().endswith("\n"))
    return int(log.read_text())


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as guard:
        yield guard


def test_exit_codes_and_signals_are_told(guard: Guard) -> None:
    log = guard.folder / "log"
    guard.run("three", python("raise SystemExit(3)"), log)
    guard.run("sleeper", python(SLEEPER), log)
    assert guard.wait("three", 20) == 3
    pid = pid_in(log)
    assert guard.wait("sleeper", 0.0) is None
    guard.signal("sleeper", signal.SIGTERM)
    assert guard.wait("sleeper", 20) == -signal.SIGTERM
    assert not alive(pid)
    guard.signal("sleeper", signal.SIGTERM)  # harmless


def test_a_name_runs_again_after_its_end(guard: Guard) -> None:
    for code in (1, 2):
        guard.run("it", python(f"raise SystemExit({code})"), guard.folder / "log")
        assert guard.wait("it", 20) == code


def test_output_is_appended_to_the_log(guard: Guard) -> None:
    log = guard.folder / "log"
    log.write_text("before\n")
    guard.run("it", python("import sys; print('out', flush=True); print('err', file=sys.stderr)"), log)
    assert guard.wait("it", 20) == 0
    assert log.read_text() == "before\nout\nerr\n"


def test_the_environment_is_exactly_the_one_given(guard: Guard) -> None:
    log = guard.folder / "log"
    guard.run("it", python("import os; print(sorted(os.environ.items()))"), log, {"SECRET": "x y"})
    assert guard.wait("it", 20) == 0
    assert "('SECRET', 'x y')" in log.read_text()
    assert "PATH" not in log.read_text()


def test_a_program_that_is_not_there_ends_with_127(guard: Guard) -> None:
    log = guard.folder / "log"
    guard.run("ghost", ["/no/such/program"], log)
    assert guard.wait("ghost", 20) == 127
    assert "/no/such/program" in log.read_text()


def test_closing_kills_what_runs_and_deletes_the_temporary_folder() -> None:
    guard = Guard()
    guard.run("stubborn", python(STUBBORN), guard.folder / "log")
    pid = pid_in(guard.folder / "log")
    folder = guard.folder
    guard.close()
    assert not alive(pid)
    assert not folder.exists()
    guard.close()  # harmless


def test_a_given_folder_stays(tmp_path: Path) -> None:
    with Guard(tmp_path) as guard:
        assert guard.folder == tmp_path
    assert tmp_path.exists()


def test_a_guard_that_cannot_start_touches_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("manyheads.infra.process.guarded._PROGRAM", tmp_path / "missing.py")
    with pytest.raises(InternalError, match="guards our child processes") as caught:
        Guard()
    assert caught.value.code is ErrorCode.INTERNAL
    assert (tmp_path / "precious").exists()


def test_a_guard_that_was_killed_says_so_and_takes_its_processes_along() -> None:
    with Guard() as guard:
        guard.run("sleeper", python(SLEEPER), guard.folder / "log")
        pid = pid_in(guard.folder / "log")
        guard._process.kill()
        with pytest.raises(InternalError, match="was it killed"):
            guard.wait("sleeper", 20)
        if sys.platform == "linux":
            assert eventually(lambda: not alive(pid))


PARENT = """
    import sys, threading
    from manyheads.infra.process import Guard

    guards = []

    def start():
        guard = Guard()
        sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        guard.run("sleeper", [sys.executable, "-c", sleeper], guard.folder / "log")
        guards.append(guard)

    starter = threading.Thread(target=start)  # ends long before its child
    starter.start()
    starter.join()
    print(guards[0].folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [None, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_outlives_the_parent_however_it_ends(number: signal.Signals | None) -> None:
    parent = subprocess.Popen(
        python(PARENT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    folder = Path(parent.stdout.readline().strip())
    pid = pid_in(folder / "log")
    assert alive(pid)  # the thread that started it has ended
    if number is not None:
        os.kill(parent.pid, number)
    parent.stdin.close()
    parent.wait(20)
    parent.stdout.close()
    assert eventually(lambda: not alive(pid))
    assert eventually(lambda: not folder.exists())
