"""``python -m manyheads.head_worker``: one head worker."""

import logging
import sys

from manyheads.head_worker.settings import HeadWorkerSettings
from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.infra.settings.usage import usage
from manyheads.infra.store.settings import StoreSettings
from manyheads.infra.telemetry import configure_logging, event
from manyheads.topics.errors import ManyheadsError

_log = logging.getLogger("manyheads.head_worker")

_PURPOSE = (
    "A head worker: takes the embeddings of a cell from Kafka and answers each with its tenant's active head.\n"
    "It logs one JSON object a line to standard error, worker_ready once it serves, and drains on SIGTERM.\n"
    "It ends with 0 after that, with 2 if it cannot work as it is configured."
)
_NO_ARGUMENTS = "a head worker takes no arguments but --help, which lists its environment variables\n"
_EXAMPLE = (
    "MANYHEADS_RING=en MANYHEADS_CELL=c0 MANYHEADS_STORE_URL=s3://models/manyheads python -m manyheads.head_worker"
)


def main(arguments: list[str]) -> int:
    """The process: its exit code."""
    if arguments:
        wanted = arguments in (["--help"], ["-h"])
        classes = (HeadWorkerSettings, StoreSettings, KafkaSettings)
        text = usage("manyheads.head_worker", _PURPOSE, _EXAMPLE, *classes) if wanted else _NO_ARGUMENTS
        (sys.stdout if wanted else sys.stderr).write(text)
        return 0 if wanted else 2
    configure_logging()
    try:
        settings = load_settings(HeadWorkerSettings)
        configure_logging(settings.log_level)
        from manyheads.head_worker.worker import run_worker  # noqa: PLC0415 - --help answers without these

        run_worker(settings, load_settings(KafkaSettings), load_settings(StoreSettings))
    except ManyheadsError as error:
        event(_log, "head_worker_failed", level=logging.ERROR, error=error)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
