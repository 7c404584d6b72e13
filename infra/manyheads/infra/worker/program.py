"""A worker's command line: settings from the environment, JSON lines on standard error, an exit code."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.infra.settings.usage import usage
from manyheads.infra.store.settings import StoreSettings
from manyheads.infra.telemetry import configure_logging, event
from manyheads.infra.worker.settings import WorkerSettings
from manyheads.infra.worker.termination import EXIT_CODE, Terminated, ended_by_sigterm
from manyheads.topics.errors import ManyheadsError

Settings = TypeVar("Settings", bound=WorkerSettings)


@dataclass(frozen=True, slots=True)
class WorkerProgram(Generic[Settings]):
    """What ``python -m <module>`` runs."""

    module: str
    purpose: str
    """one sentence for ``--help``"""
    example: str
    settings: type[Settings]
    run: Callable[[Settings, KafkaSettings, StoreSettings], None]
    """serves until it is signalled, and may import what it needs: ``--help`` answers without it"""

    def main(self, arguments: Sequence[str]) -> int:
        """The process: its exit code.

        0 after a drain, 2 for a ManyheadsError; during the start 143 for SIGTERM and 130 for Ctrl-C.
        """
        if arguments:
            return self._answer(arguments)
        configure_logging()
        try:
            with ended_by_sigterm():
                self._serve()
        except ManyheadsError as error:
            failed = f"{self.module.rpartition('.')[2]}_failed"
            event(logging.getLogger(self.module), failed, level=logging.ERROR, error=error)
            return 2
        except Terminated:
            event(logging.getLogger(self.module), "start_ended", signal="SIGTERM")
            return EXIT_CODE
        except KeyboardInterrupt:
            return 130
        return 0

    def _serve(self) -> None:
        settings = load_settings(self.settings)
        configure_logging(settings.log_level)
        self.run(settings, load_settings(KafkaSettings), load_settings(StoreSettings))

    def _answer(self, arguments: Sequence[str]) -> int:
        if list(arguments) not in (["--help"], ["-h"]):
            sys.stderr.write("a worker takes no arguments but --help, which lists its environment variables\n")
            return 2
        purpose = (
            f"{self.purpose}\n"
            "It logs one JSON object a line to standard error, worker_ready once it serves, and drains on SIGTERM.\n"
            "It ends with 0 after that, with 2 if it cannot work as it is configured or what it needs is missing, and "
            "with\n143 if SIGTERM comes before it serves."
        )
        sys.stdout.write(usage(self.module, purpose, self.example, self.settings, StoreSettings, KafkaSettings))
        return 0
