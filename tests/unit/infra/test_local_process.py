"""Child processes with real, small programs."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from manyheads.infra.process import ChildProcess, Command
from manyheads.topics.errors import ErrorCode, InternalError


def python(code: str, **options: object) -> Command:
    return Command("the child", (sys.executable, "-c", textwrap.dedent(code)), **options)  # type: ignore[arg-type]


SLEEPER = """
    import time
    print("up", flush=True)
    time.sleep(600)
"""
STUBBORN = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("up", flush=True)
    time.sleep(600)
"""


def is_up(line: str) -> bool:
    return line == "up"


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    waiter = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        waiter.wait(0.01)
    return True


def test_the_ready_line_is_returned() -> None:
    with ChildProcess.start(
        python('print("hello"); print("ready 7", flush=True); input()', ready=lambda line: "ready" in line)
    ) as child:
        assert child.wait_ready(10) == "ready 7"


def test_stop_ends_it_and_its_log_tail_stays() -> None:
    child = ChildProcess.start(python(SLEEPER, ready=is_up))
    child.wait_ready(10)
    assert child.running
    child.stop()
    assert not child.running
    assert child.returncode == -signal.SIGTERM
    assert child.log_tail() == "up"
    child.stop()  # harmless


def test_one_that_ignores_sigterm_is_killed() -> None:
    child = ChildProcess.start(python(STUBBORN, ready=is_up))
    child.wait_ready(10)
    child.stop(grace_s=0.05)
    assert child.returncode == -signal.SIGKILL


def test_what_it_started_dies_with_it() -> None:
    code = """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid, flush=True)
        child.wait()
    """
    child = ChildProcess.start(python(code, ready=str.isdigit))
    grandchild = int(child.wait_ready(10))
    assert alive(grandchild)
    child.kill()
    assert eventually(lambda: not alive(grandchild))


def test_one_that_ends_before_it_is_ready_shows_its_last_lines() -> None:
    child = ChildProcess.start(python('import sys; print("no model here"); sys.exit(3)', ready=is_up))
    with pytest.raises(InternalError, match=r"the child ended with exit code 3 (.|\n)*no model here") as caught:
        child.wait_ready(10)
    assert caught.value.code is ErrorCode.WORKER_HALTED
    assert caught.value.details["returncode"] == 3
    child.stop()


def test_one_that_is_killed_before_it_is_ready_says_so() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with ChildProcess.start(python(code, ready=is_up)) as child, pytest.raises(InternalError, match="SIGKILL"):
        child.wait_ready(10)


def test_one_that_never_gets_ready_times_out() -> None:
    with (
        ChildProcess.start(python(SLEEPER, ready=lambda _: False)) as child,
        pytest.raises(InternalError, match=r"not ready within 0\.05 s"),
    ):
        child.wait_ready(0.05)


def test_a_program_that_is_not_there() -> None:
    command = Command("the ghost", ("/no/such/program",), ready=is_up)
    with ChildProcess.start(command) as child, pytest.raises(InternalError, match="cannot run /no/such/program"):
        child.wait_ready(10)


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(InternalError, match="the child cannot be started"):
        ChildProcess.start(python(SLEEPER, cwd=Path("/no/such/folder")))


def test_output_goes_to_the_log_file(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    with ChildProcess.start(python('print("one"); print("up", flush=True)', ready=is_up, log=log)) as child:
        child.wait_ready(10)
        assert child.wait(10)
    assert log.read_text() == "one\nup\n"


def test_more_output_than_a_pipe_holds_does_not_block_it() -> None:
    code = 'print("x" * 1_000_000); print("y\\n" * 100_000); print("up", flush=True)'
    with ChildProcess.start(python(code, ready=is_up)) as child:
        child.wait_ready(20)
        assert child.wait(10)


def test_dropped_it_is_killed() -> None:
    child = ChildProcess.start(python(SLEEPER, ready=is_up))
    child.wait_ready(10)
    pid = child.pid
    del child
    assert eventually(lambda: not alive(pid))


PARENT = """
    import sys, threading
    from manyheads.infra.process import ChildProcess, Command

    children = []

    def start():
        sleeper = "import time; print('up', flush=True); time.sleep(600)"
        child = ChildProcess.start(Command("c", (sys.executable, "-c", sleeper), ready=lambda line: line == "up"))
        child.wait_ready(10)
        children.append(child)

    starter = threading.Thread(target=start)  # ends long before the child
    starter.start()
    starter.join()
    print(children[0].pid, flush=True)
    input()
"""


@pytest.fixture
def parent_and_child() -> "tuple[subprocess.Popen[str], int]":
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def finish(parent: "subprocess.Popen[str]") -> None:
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.close()
    parent.wait(10)
    parent.stdout.close()


def test_a_child_outlives_the_thread_that_asked_for_it(parent_and_child: "tuple[subprocess.Popen[str], int]") -> None:
    parent, child = parent_and_child
    assert alive(child)
    finish(parent)
    assert eventually(lambda: not alive(child))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_no_child_outlives_a_parent_that_is_killed(
    parent_and_child: "tuple[subprocess.Popen[str], int]", number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    parent, child = parent_and_child
    os.kill(parent.pid, number)
    assert parent.wait(10) != 0
    assert eventually(lambda: not alive(child))
    finish(parent)
