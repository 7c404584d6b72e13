"""Processes that cannot outlive this one, even if it is killed."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from manyheads.topics.errors import ErrorCode, InternalError

_PROGRAM = Path(__file__).with_name("guard.py")
_START_S = 30.0
_CLOSE_S = 30.0


class Guard:
    """Runs named processes in a session of their own (Ctrl-C does not reach them) under a guard process.

    They are killed, and the temporary folder deleted, when the guard is closed, when this object is garbage, and when
    this Python process ends in whatever way. POSIX only; see ``guard.py`` for how.

    Not for use by several threads at once.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Start the guard; ``folder`` is kept at the end, a temporary one takes its place if it is None."""
        arguments = [] if folder is None else [str(folder)]
        self._temporary = folder is None
        self._ended: dict[str, int] = {}
        self._pending = b""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_PROGRAM), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._readable = select.poll()
        self._readable.register(self._process.stdout, select.POLLIN)
        self._folder: Path | None = None
        try:
            self._folder = self._greeting()
        except BaseException:
            self.close()
            raise

    @property
    def folder(self) -> Path:
        """Where the processes may keep their files."""
        assert self._folder is not None  # there is no object before the greeting
        return self._folder

    def run(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        """Start a process.

        Args:
            name: what :meth:`signal` and :meth:`wait` call it; used again only after its process ended.
            argv: the program and its arguments. One that cannot be run ends with code 127.
            log: a file that its output is appended to.
            env: its whole environment; None: ours, as it was when the guard started.
        """
        self._ended.pop(name, None)
        environment = None if env is None else dict(env)
        self._order({"run": name, "argv": list(argv), "log": str(log), "env": environment})

    def signal(self, name: str, number: int) -> None:
        """Signal a process; nothing happens if it has ended."""
        self._order({"signal": name, "number": int(number)})

    def wait(self, name: str, timeout_s: float) -> int | None:
        """The exit code of a process, negative for a signal; None if it still runs after ``timeout_s`` seconds."""
        until = time.monotonic() + timeout_s
        while name not in self._ended:
            event = self._event(until - time.monotonic())
            if event is None:
                return None
            self._note(event)
        return self._ended[name]

    def close(self) -> None:
        """Kill what still runs, delete the temporary folder and end the guard; safe to call again."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_CLOSE_S)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
            if self._temporary and self._folder is not None:  # the guard did this, unless somebody killed it
                shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _greeting(self) -> Path:
        event = self._event(_START_S)
        if event is None:
            raise self._gone(f"said nothing for {_START_S:.0f} s")
        return Path(str(event["folder"]))

    def _order(self, order: dict[str, object]) -> None:
        assert self._process.stdin is not None
        data = json.dumps(order).encode() + b"\n"
        try:
            while data:
                data = data[self._process.stdin.write(data) or 0 :]
        except BrokenPipeError as error:
            raise self._gone("has ended") from error

    def _note(self, event: dict[str, object]) -> None:
        match event:
            case {"ended": str(name), "code": int(code)}:
                self._ended[name] = code

    def _event(self, timeout_s: float) -> dict[str, object] | None:
        assert self._process.stdout is not None
        until = time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            if not self._readable.poll(max(0.0, until - time.monotonic()) * 1_000):
                return None
            received = os.read(self._process.stdout.fileno(), 65536)
            if not received:
                raise self._gone("has ended")
            self._pending += received
        line, self._pending = self._pending.split(b"\n", 1)
        event: dict[str, object] = json.loads(line)
        return event

    def _gone(self, what: str) -> InternalError:
        return InternalError(
            ErrorCode.INTERNAL,
            f"the process that guards our child processes {what}; was it killed? Its messages are on standard error",
            guard=self._process.pid,
        )


def ending(code: int) -> str:
    """What :meth:`Guard.wait` says of a process that ended, for people: ``exit code 1`` or ``SIGKILL``."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
