"""The guard where the broker leans on it most: terminals, forks, and a guard that is told to go."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from manyheads.infra.process import Guard

PATIENCE_S = 30.0


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process that is no child of ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        assert ended.poll(PATIENCE_S * 1_000), f"process {pid} still runs"
    finally:
        os.close(descriptor)


def pid_of(guard: Guard, name: str) -> int:
    """The process id that a process of the guard's wrote to its log, being ``sh -c 'echo $$; exec ...'``."""
    log = guard.folder / f"{name}.log"
    while not log.exists() or not log.read_text().endswith("\n"):
        assert guard.wait(name, 0.01) is None
    return int(log.read_text())


def run_sleep(guard: Guard, name: str) -> int:
    guard.run(name, ["sh", "-c", "echo $$; exec sleep 600"], guard.folder / f"{name}.log")
    return pid_of(guard, name)


def test_its_processes_are_not_in_our_session() -> None:
    with Guard() as guard:
        assert os.getsid(run_sleep(guard, "a")) != os.getsid(0), "Ctrl-C in our terminal would reach it"


def test_telling_the_guard_to_terminate_cleans_up() -> None:
    guard = Guard()
    pid = run_sleep(guard, "a")
    os.kill(os.getsid(pid), signal.SIGTERM)
    wait_until_gone(pid)
    guard.close()
    assert not guard.folder.exists()


PARENT = """
    import os, sys, time
    from pathlib import Path
    from manyheads.infra.process import Guard

    guard = Guard()
    guard.run("a", ["sh", "-c", "echo $$; exec sleep 600"], guard.folder / "log")
    while not (guard.folder / "log").exists() or not (guard.folder / "log").read_text().endswith("\\n"):
        assert guard.wait("a", 0.01) is None
    # A fork, as of multiprocessing, holds copies of the parent's pipes: the guard must not wait for it.
    fork = os.fork() or time.sleep(600)
    print(fork, flush=True)
    print(guard.folder, (guard.folder / "log").read_text(), flush=True)
    time.sleep(600)
"""


def test_a_fork_of_the_parent_keeps_nothing_alive() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        forked = int(parent.stdout.readline())
        folder, pid = parent.stdout.readline().split()
        guard = os.getsid(int(pid))
        parent.kill()
        try:
            wait_until_gone(int(pid))
            wait_until_gone(guard)
        finally:
            os.kill(forked, signal.SIGKILL)
    assert not Path(folder).exists()
