"""A small process that owns others, and a temporary folder, for a parent that may die at any moment.

This file is a program: :class:`manyheads.infra.process.Guard` runs it with ``python -I -S``, so it imports the
standard library only. It talks in JSON, one object a line:

    reads   {"run": NAME, "argv": [...], "log": PATH, "env": {...}}
                                          start a process, its output appended to PATH; an env of null is ours
            {"signal": NAME, "number": 15}
                                          signal it, if it still runs
    writes  {"folder": PATH}              once, first
            {"ended": NAME, "code": N}    for every process that ended

When its input ends, or its parent is gone, or it is told to terminate, it kills what still runs, deletes the temporary
folder and exits. The input ends however the parent dies, so no process is left behind even by SIGKILL. Should the
guard itself be killed, Linux kills its processes with it.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import BinaryIO

_PR_SET_PDEATHSIG = 1
_NOT_STARTED = 127  # as shells say it
# The end of input tells at once, unless the parent forked and the fork holds the pipe: so look at the parent as well.
_LOOK_AT_PARENT_S = 1.0

_running: dict[str, subprocess.Popen[bytes]] = {}


class _Over(Exception):  # noqa: N818
    """There is nobody left to work for."""


def main(folder: Path) -> None:
    parent = os.getppid()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # only to be woken: a default handler would not be
    signal.signal(signal.SIGTERM, _terminated)
    _say({"folder": str(folder)})
    pending = b""
    while os.getppid() == parent:
        readable, _, _ = select.select([0, woken], [], [], _LOOK_AT_PARENT_S)
        if woken in readable:
            os.read(woken, 4096)
        if 0 in readable:
            received = os.read(0, 65536)
            if not received:
                return
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                _obey(json.loads(line))
        _report_ended()


def _obey(order: dict[str, object]) -> None:
    match order:
        case {"run": str(name), "argv": list(argv), "log": str(log), "env": env}:
            assert env is None or isinstance(env, dict)
            with Path(log).open("ab") as output:
                try:
                    _running[name] = _start([str(argument) for argument in argv], output, env)
                except OSError as error:
                    output.write(f"{error}\n".encode())
                    output.flush()  # before anybody is told that there is something to read
                    _say({"ended": name, "code": _NOT_STARTED})
        case {"signal": str(name), "number": int(number)}:
            process = _running.get(name)
            if process is not None:
                process.send_signal(number)


def _start(argv: list[str], output: BinaryIO, env: dict[str, str] | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_guard if sys.platform == "linux" else None,  # noqa: PLW1509 - there is one thread
    )


def _report_ended() -> None:
    for name, process in list(_running.items()):
        code = process.poll()
        if code is not None:
            del _running[name]
            _say({"ended": name, "code": code})


def _die_with_guard() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise _Over


def _say(event: dict[str, object]) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


def _clean_up(temporary: Path | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for process in _running.values():
        process.kill()
    for process in _running.values():
        process.wait()
    if temporary is not None:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    # One argument: the folder to work in, which stays; none: a temporary one, which goes.
    temporary = None if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="manyheads-"))
    try:
        main(temporary or Path(sys.argv[1]))
    except (_Over, BrokenPipeError):
        pass
    finally:
        _clean_up(temporary)
