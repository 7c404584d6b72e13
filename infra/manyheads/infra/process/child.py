"""One child process: started, watched, stopped, and never left behind.

It has a session of its own, so that Ctrl-C in a terminal reaches its supervisor alone, which then stops it in order.
Three things see to it that none is left behind: ``stop``; a finalizer that kills it when nobody holds it any more or
the interpreter exits; and, on Linux, the kernel, which kills it when this process dies in any way.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from manyheads.infra.process.spawner import spawn
from manyheads.topics.errors import ErrorCode, InternalError

_LAUNCH = Path(__file__).with_name("launch.py")
_TAIL_LINES = 200
_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """What to run.

    Attributes:
        name: what messages call it, such as ``encoder worker``.
        argv: the program and its arguments.
        env: its whole environment; None inherits ours.
        cwd: its working directory; None inherits ours.
        ready: whether a line of its output says that it is ready; None if no line does.
        log: a file that its output is appended to; None keeps the last lines in memory only.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    ready: Callable[[str], bool] | None = None
    log: Path | None = None


class ChildProcess:
    """A running command. ``start`` makes one; usable as a context manager that stops it. Dropped, it is killed."""

    def __init__(self, command: Command, process: "subprocess.Popen[bytes]") -> None:
        self.command = command
        self._process = process
        self._output = _Output(command)
        self._end = weakref.finalize(self, _kill_and_reap, process)
        threading.Thread(
            target=self._output.follow, args=(process.stdout,), name=f"{command.name} output", daemon=True
        ).start()

    @classmethod
    def start(cls, command: Command) -> Self:
        """Start the command.

        Raises:
            InternalError: the program cannot be started.
        """
        try:
            return spawn(lambda: cls(command, _popen(command)))
        except OSError as error:
            raise InternalError(
                ErrorCode.INTERNAL, f"{command.name} cannot be started: {error.strerror or error}"
            ) from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal's number if a signal ended it."""
        return self._process.poll()

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that it wrote."""
        return self._output.tail(lines)

    def wait_ready(self, timeout_s: float) -> str:
        """The line that says that it is ready.

        Raises:
            InternalError: worker_halted, with its last lines, if it ended first or said nothing for ``timeout_s``.
        """
        line = self._output.wait_ready(timeout_s)
        if line is not None:
            return line
        if self._output.ended:
            self.wait(timeout_s=5.0)
        raise InternalError(
            ErrorCode.WORKER_HALTED,
            f"{self.command.name} {self._fate(timeout_s)}; its last lines:\n{self.log_tail()}",
            returncode=self.returncode,
        )

    def _fate(self, timeout_s: float) -> str:
        code = self.returncode
        if code is None:
            return f"was not ready within {timeout_s:g} s"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name} before it was ready"
        return f"ended with exit code {code} before it was ready"

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended within ``timeout_s``."""
        try:
            self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); returns at once."""
        _signal(self._process, signal.SIGTERM)

    def kill(self) -> None:
        """End it without asking (SIGKILL), with whatever it started; returns once it is gone."""
        self._end()
        self._process.wait()

    def stop(self, grace_s: float = 10.0) -> None:
        """End it: SIGTERM, and SIGKILL after ``grace_s`` seconds or at an interrupt. Harmless if it has ended."""
        try:
            self.terminate()
            self.wait(grace_s)
        finally:
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Output:
    """What a child writes: its last lines, and the line that says that it is ready."""

    def __init__(self, command: Command) -> None:
        self._ready = command.ready
        self._log = command.log
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self._changed = threading.Condition()
        self._ready_line: str | None = None
        self.ended = False

    def follow(self, stream: IO[bytes]) -> None:
        """Read to the end. Runs in a thread of its own, so that the child never blocks on a full pipe."""
        log = self._log.open("ab", buffering=0) if self._log is not None else None
        try:
            while raw := stream.readline(_LINE_BYTES):
                if log is not None:
                    log.write(raw)
                self._add(raw.decode("utf-8", "replace").rstrip("\n"))
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()
            stream.close()
            if log is not None:
                log.close()

    def _add(self, line: str) -> None:
        is_ready = self._ready_line is None and self._ready is not None and self._ready(line)
        with self._changed:
            self._lines.append(line)
            if is_ready:
                self._ready_line = line
                self._changed.notify_all()

    def wait_ready(self, timeout_s: float) -> str | None:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._ready_line is None and not self.ended:
                if not self._changed.wait(deadline - time.monotonic()):
                    break
            return self._ready_line

    def tail(self, lines: int) -> str:
        with self._changed:
            return "\n".join(list(self._lines)[-lines:])


def _popen(command: Command) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *command.argv],
        env=command.env,
        cwd=command.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    # Until it is reaped its process id is its own, and so is the id of its group.
    if process.poll() is None:
        os.killpg(process.pid, number)


def _kill_and_reap(process: "subprocess.Popen[bytes]") -> None:
    _signal(process, signal.SIGKILL)
    process.wait()
