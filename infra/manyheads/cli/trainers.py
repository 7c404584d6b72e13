"""Heads of the demo's tenants, trained by one process for each core."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from manyheads.cli.demo.scores import Scores
from manyheads.cli.demo.utterances import TenantExamples
from manyheads.cli.ring_setup import RingSetup
from manyheads.cli.teaching import Lesson
from manyheads.cli.trainer import ENCODER_FILE
from manyheads.infra.local import environment, inherited_environment
from manyheads.infra.process import Guard
from manyheads.infra.store import StoreSettings
from manyheads.topics.errors import ErrorCode, InternalError
from manyheads.topics.names import TenantName, version
from manyheads.topics.registry import HeadRecord
from manyheads.topics.views import View

_LOOK_EVERY_S = 0.05
_MAX_PROCESSES = 4
_TAIL_LINES = 15
# A process has a core: more threads of linear algebra would only wait for each other.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Taught:
    """A demo tenant whose head was trained and published."""

    examples: TenantExamples
    head: HeadRecord
    held_out: Scores | None = None
    """in process, on the utterances that it was not trained on; None if that was not now"""


class Trainers:
    """Processes that train heads of the demo's tenants, from when it is entered; a context manager.

    Args:
        ring: the ring, which has an encoder.
        store: where the processes find the encoder: the ring's store.
        tenants: of the demo's; at least one.
    """

    def __init__(self, ring: RingSetup, store: StoreSettings, tenants: Sequence[TenantExamples]) -> None:
        self._ring = ring
        self._store = store
        self._tenants = tuple(tenants)
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        encoder = self._ring.encoder
        assert encoder is not None, "install an encoder first"
        self._encoder = encoder
        with ExitStack() as resources:
            self._guard = resources.enter_context(Guard())
            (self._guard.folder / ENCODER_FILE).write_bytes(encoder.to_bytes())
            env = inherited_environment() | environment(self._store) | _ONE_THREAD
            count = min(os.cpu_count() or 1, len(self._tenants), _MAX_PROCESSES)
            self._trainers = [_Trainer(self._guard, number) for number in range(count)]
            for number, trainer in enumerate(self._trainers):
                trainer.start([examples.tenant for examples in self._tenants[number::count]], env)
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def taught(self) -> Iterator[Taught]:
        """Each tenant once its head is trained, published by then.

        Raises:
            InternalError: a training process failed; the message has the end of its output.
            ArtifactError, BrokerError: a head cannot be published.
        """
        waiting = {str(examples.tenant): examples for examples in self._tenants}
        while waiting:
            for trainer in self._trainers:
                for line in trainer.new_lines():
                    examples = waiting.pop(line["tenant"])
                    head = self._ring.publish(self._lesson(examples.tenant, line))
                    yield Taught(examples, head, Scores(**line["scores"]))

    def _lesson(self, tenant: TenantName, line: dict[str, Any]) -> Lesson:
        model = (self._guard.folder / f"{tenant}.onnx").read_bytes()
        return Lesson(self._encoder, tenant, version(line["version"]), View.parse(line["view"]), model)


class _Trainer:
    """One training process and what it says."""

    def __init__(self, guard: Guard, number: int) -> None:
        self._guard = guard
        self._name = f"trainer {number}"
        self._log = guard.folder / f"trainer-{number}.log"
        self._read = 0

    def start(self, tenants: Sequence[str], env: dict[str, str]) -> None:
        argv = (sys.executable, "-m", "manyheads.cli.trainer", str(self._guard.folder), *tenants)
        self._guard.run(self._name, argv, self._log, env)

    def new_lines(self) -> list[dict[str, Any]]:
        """What it has said since; waits a moment. Raises InternalError if it failed."""
        code = self._guard.wait(self._name, _LOOK_EVERY_S)
        text = self._log.read_text("utf-8", "replace") if self._log.exists() else ""
        if code:
            tail = "\n".join(text.splitlines()[-_TAIL_LINES:])
            raise InternalError(
                ErrorCode.INTERNAL, f"{self._name} ended with exit code {code}; the end of its output:\n{tail}\n"
            )
        whole = text.rfind("\n") + 1
        lines, self._read = text[self._read : whole].splitlines(), whole
        return [json.loads(line) for line in lines if line.startswith("{")]
