"""Worker processes on this machine, each as a deployment would start it: ``python -m``, settings in the environment."""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import RLock
from time import monotonic
from types import TracebackType
from typing import Self

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from manyheads.infra.process import Guard, ending
from manyheads.infra.settings import CONFIG_VARIABLE, KafkaSettings, load_settings, variable
from manyheads.infra.settings.names import SETTINGS
from manyheads.infra.store import StoreSettings
from manyheads.topics.errors import ErrorCode, InternalError
from manyheads.topics.names import CellName, RingName

READY_EVENT = "worker_ready"
"""What a worker logs once its partitions are assigned and prepared."""

_READY_S = 60.0
_GRACE_S = 15.0
_LOOK_EVERY_S = 0.02
_TUNING = frozenset({"max_take", "batch_share", "registry_timeout_s", "device", "threads", "tokens_per_run", "grace_s"})
"""settings of workers that are no concern of who starts them"""


class WorkerKind(StrEnum):
    """Which worker; the value is its module within ``manyheads``."""

    ENCODER = "encoder_worker"
    HEAD = "head_worker"


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker process.

    Attributes:
        kind: which worker.
        ring: the ring that it serves.
        cell: the cell, for a head worker.
        settings: further settings of the worker by field name, such as ``{"threads": "2"}``.
    """

    kind: WorkerKind
    ring: RingName
    cell: CellName | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def encoder_worker(ring: RingName, **settings: str) -> WorkerSpec:
    """An encoder worker of the ring."""
    return WorkerSpec(WorkerKind.ENCODER, ring, settings=settings)


def head_worker(ring: RingName, cell: CellName, **settings: str) -> WorkerSpec:
    """A head worker of the cell."""
    return WorkerSpec(WorkerKind.HEAD, ring, cell, settings)


@dataclass(frozen=True, slots=True)
class _Worker:
    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path


class LocalWorkers:
    """Worker processes, numbered from 0 as they were started; a context manager that stops them.

    Whatever happens to this Python process, they are gone after it. Ctrl-C in a terminal reaches only this process.
    Methods may be called from any thread; one waits for another.

    Attributes:
        store: where the workers find the models.
    """

    def __init__(self, kafka: KafkaSettings, store: StoreSettings | None = None, folder: Path | None = None) -> None:
        """No worker is started yet.

        Args:
            kafka: how the workers reach Kafka.
            store: where they find the models; ``store`` in the folder if None.
            folder: an existing folder for their logs; a temporary one, deleted in the end, if None.
        """
        self._guard = Guard(folder)
        self.store = store or load_settings(
            StoreSettings, store_url=str(self._guard.folder / "store"), store_cache_dir=None
        )
        self._environment = inherited_environment() | environment(kafka) | environment(self.store)
        self._workers: list[_Worker] = []
        self._logged: dict[int, int] = {}
        """by number, how long the worker's log was when it was started last"""
        self._lock = RLock()

    @property
    def folder(self) -> Path:
        """Where the workers' logs are."""
        return self._guard.folder

    def __len__(self) -> int:
        return len(self._workers)

    def start(self, *specs: WorkerSpec, timeout_s: float = _READY_S) -> tuple[int, ...]:
        """Start the workers side by side; their numbers, once all have partitions and are prepared for them.

        Raises:
            InternalError: worker_halted, with the last lines of its log, if one ended or was not ready in time.
        """
        with self._lock:
            numbers = tuple(range(len(self._workers), len(self._workers) + len(specs)))
            self._workers += [self._described(number, spec) for number, spec in zip(numbers, specs, strict=True)]
            self._run(numbers, timeout_s)
            return numbers

    def name(self, number: int) -> str:
        """What messages call the worker, such as ``head worker 2``."""
        return self._workers[number].name

    def exit_code(self, number: int) -> int | None:
        """None while the worker runs; minus the signal's number if a signal ended it."""
        with self._lock:
            return self._guard.wait(self._workers[number].name, 0.0)

    def log_tail(self, number: int, lines: int = 15) -> str:
        """The last lines that the worker has logged since its last start."""
        return "\n".join(self._log(number).splitlines()[-lines:])

    def send_signal(self, number: int, which: signal.Signals) -> None:
        """Send the worker a signal, such as SIGSTOP: it hangs until SIGCONT."""
        with self._lock:
            self._guard.signal(self._workers[number].name, which)

    def kill(self, number: int) -> None:
        """kill -9; returns once the process is gone."""
        with self._lock:
            self._end([number], signal.SIGKILL)

    def restart(self, *numbers: int, timeout_s: float = _READY_S) -> None:
        """Start the workers anew, those that still run after they drained. Raises InternalError as :meth:`start`."""
        with self._lock:
            self._end(numbers, signal.SIGTERM)
            self._run(numbers, timeout_s)

    def check(self) -> None:
        """Raises InternalError(worker_halted), with the last lines of its log, if a worker has ended by itself."""
        for number in range(len(self)):
            code = self.exit_code(number)
            if code is not None:
                raise self._halted(number, f"has ended with {ending(code)}", code)

    def stop(self) -> None:
        """Let all workers drain and end, side by side; no other can be started. Safe to call again."""
        with self._lock:
            try:
                self._end(range(len(self)), signal.SIGTERM)
            finally:
                self._workers.clear()
                self._guard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _described(self, number: int, spec: WorkerSpec) -> _Worker:
        name = f"{spec.kind.replace('_', '-')}-{number}"
        # The same instance over restarts lets the next start clear away what a killed worker left open.
        settings = {"ring": str(spec.ring), "instance": name, **spec.settings}
        if spec.cell is not None:
            settings["cell"] = spec.cell
        return _Worker(
            name=name.replace("-", " "),
            argv=(sys.executable, "-m", f"manyheads.{spec.kind}"),
            env=self._environment | {variable(name): value for name, value in settings.items()},
            log=self._guard.folder / f"{name}.log",
        )

    def _run(self, numbers: Sequence[int], timeout_s: float) -> None:
        for number in numbers:
            worker = self._workers[number]
            self._logged[number] = worker.log.stat().st_size if worker.log.exists() else 0
            self._guard.run(worker.name, worker.argv, worker.log, worker.env)
        until = monotonic() + timeout_s
        for number in numbers:
            self._wait_ready(number, until)

    def _wait_ready(self, number: int, until: float) -> None:
        while not any(is_ready(line) for line in self._log(number).splitlines()):
            code = self._guard.wait(self._workers[number].name, _LOOK_EVERY_S)
            if code is not None:
                raise self._halted(number, f"ended with {ending(code)} before it was ready", code)
            if monotonic() > until:
                raise self._halted(number, "was not ready in time")

    def _end(self, numbers: Sequence[int], number_of_signal: signal.Signals) -> None:
        for number in numbers:
            self._guard.signal(self._workers[number].name, number_of_signal)
        until = monotonic() + _GRACE_S
        for number in numbers:
            name = self._workers[number].name
            if self._guard.wait(name, max(0.0, until - monotonic())) is None:
                self._guard.signal(name, signal.SIGKILL)
                self._guard.wait(name, _GRACE_S)

    def _log(self, number: int) -> str:
        """What the worker has logged since its last start; a log that is kept has earlier ones as well."""
        log = self._workers[number].log
        if not log.exists():
            return ""
        with log.open("rb") as file:
            file.seek(self._logged.get(number, 0))
            return file.read().decode("utf-8", "replace")

    def _halted(self, number: int, what: str, code: int | None = None) -> InternalError:
        return InternalError(
            ErrorCode.WORKER_HALTED,
            f"{self.name(number)} {what}; the end of its log:\n{self.log_tail(number)}\n",
            worker=self.name(number),
            exit_code=code,
        )


def inherited_environment() -> dict[str, str]:
    """Our environment for a child process that is told its settings: without ours, and without a file of settings.

    Another Kafka's login, one metrics port for several processes or a log level that hides when a worker is ready are
    for what a person starts. How a worker does its work is kept, such as ``MANYHEADS_THREADS``.
    """
    told = {variable(name) for name in SETTINGS - _TUNING}
    # Settings are read in upper and in lower case.
    kept = {name: value for name, value in os.environ.items() if name.upper() not in told}
    return kept | {CONFIG_VARIABLE: os.devnull}


def environment(settings: BaseSettings) -> dict[str, str]:
    """The settings as environment variables, secrets in clear: for a child process, never for a log."""
    shown: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is not None:
            shown[variable(name)] = str(value)
    return shown


def is_ready(line: str) -> bool:
    """Whether a line of a worker's log says that it is ready."""
    if READY_EVENT not in line:
        return False
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("event") == READY_EVENT
