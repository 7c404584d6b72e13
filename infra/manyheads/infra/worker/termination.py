"""SIGTERM while a worker starts: before the stage loop takes it over, it ends the process."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from manyheads.infra.telemetry import event

_log = logging.getLogger(__name__)

EXIT_CODE = 128 + signal.SIGTERM
"""143, as a shell reports a process that SIGTERM ended."""
_PATIENCE_S = 1.0


class Terminated(BaseException):
    """SIGTERM came. Like KeyboardInterrupt, it is no error and is caught by no one but a program's main."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Within it SIGTERM raises :class:`Terminated`, and ends the process with 143 if that does not do so in a second.

    As process 1 of a container a program gets no SIGTERM at all unless it installs a handler. A handler in Python runs
    only between two instructions of the main thread, which may be waiting within librdkafka for a minute: so a thread
    watches too. Whoever installs a handler of his own meanwhile, as the stage loop does, takes over. For the main
    thread.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received = threading.Event()

    def terminate(_number: int, _frame: FrameType | None) -> None:
        received.set()
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    fd_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading,), name="sigterm-watch", daemon=True).start()
    try:
        yield
    except Exception as error:
        if received.is_set():  # C code within which Terminated was raised makes another exception of it
            raise Terminated from error
        raise
    finally:
        signal.set_wakeup_fd(fd_before)
        signal.signal(signal.SIGTERM, before)
        os.close(writing)


def _watch(reading: int) -> None:
    with open(reading, "rb", buffering=0) as signals:
        while number := signals.read(1):
            if number[0] == signal.SIGTERM:
                # What the main thread waits for may never return. Nothing that it has begun needs to be finished.
                threading.Event().wait(_PATIENCE_S)
                event(_log, "start_interrupted", waited_s=_PATIENCE_S)
                os._exit(EXIT_CODE)
