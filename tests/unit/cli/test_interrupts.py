"""Signals, sent for real to a small program."""

import signal
import subprocess
import sys
import textwrap

import pytest

SYNCHRONOUS = """
    import sys, time
    from contextlib import ExitStack
    from manyheads.cli.interrupts import Interrupts

    def stop():
        print("stopping", flush=True)
        sys.stdin.readline()       # however often we are signalled meanwhile
        print("stopped", flush=True)

    with Interrupts() as interrupts, ExitStack() as resources, interrupts.unwinding():
        resources.callback(stop)
        print("up", flush=True)
        time.sleep(600)
"""
ASYNCHRONOUS = """
    import asyncio, sys
    from contextlib import ExitStack
    from manyheads.cli.interrupts import Interrupts

    async def work():
        try:
            print("up", flush=True)
            await asyncio.sleep(600)
        finally:
            print("stopping", flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            print("stopped", flush=True)

    with Interrupts() as interrupts, ExitStack() as resources, interrupts.unwinding():
        interrupts.run(work())
"""
LATE = """
    import sys
    from contextlib import ExitStack
    from manyheads.cli.interrupts import Interrupts

    def stop():
        print("stopping", flush=True)
        sys.stdin.readline()
        print("stopped", flush=True)

    with Interrupts() as interrupts, ExitStack() as resources, interrupts.unwinding():
        resources.callback(stop)
        print("up", flush=True)
"""


class Program:
    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate("\n", timeout=30)
        return self.process.returncode, out, err


@pytest.mark.parametrize("code", [SYNCHRONOUS, ASYNCHRONOUS], ids=["synchronous", "asyncio"])
@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, None), (signal.SIGTERM, 128 + 15), (signal.SIGHUP, 128 + 1)]
)
def test_the_first_signal_unwinds_and_the_next_change_nothing(
    code: str, number: signal.Signals, exit_code: int | None
) -> None:
    program = Program(code)
    assert program.line() == "up"
    program.process.send_signal(number)
    assert program.line() == "stopping"
    for again in (signal.SIGINT, signal.SIGTERM):
        program.process.send_signal(again)
    returncode, out, err = program.end()
    assert out == "stopped\n"
    if exit_code is None:  # KeyboardInterrupt, which nobody here catches
        assert err.rstrip().endswith("KeyboardInterrupt")
    else:
        assert (returncode, err) == (exit_code, "")


def test_a_signal_while_everything_stops_anyway_waits_for_the_end() -> None:
    program = Program(LATE)
    assert program.line() == "up"
    assert program.line() == "stopping"
    program.process.send_signal(signal.SIGTERM)
    returncode, out, err = program.end()
    assert (returncode, out, err) == (128 + 15, "stopped\n", "")


def test_without_a_signal_nothing_is_raised() -> None:
    program = Program(LATE)
    returncode, _, err = program.end()
    assert (returncode, err) == (0, "")
