"""The command line, and the one place that may import every package.

Nothing heavy is imported before a command needs it, so ``manyheads --help`` is instant.
"""

import logging
import os
import sys

from manyheads.topics.errors import ErrorCode, InvalidRequest, InvalidSettings, ManyheadsError

_log = logging.getLogger(__name__)

FAILED = 1
USAGE = 2
INTERRUPTED = 130

# What to install for a command, by its first word, where `cli` is not enough. The base install has no command.
_EXTRAS = {
    "dashboard": "dashboard",
    "demo": "demo",
    "encoder": "cli,train",
    "lag": "lag",
    "reprocess": "reprocess",
    "seed": "cli,train",
    "train": "cli,train",
    "up": "demo",
}
_PLAIN = "cli"


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
        return _fail(f'{missing} is not installed; run: pip install "manyheads[{_extras(sys.argv[1:])}]"', USAGE)
    except ManyheadsError as error:
        usage = isinstance(error, InvalidRequest | InvalidSettings)
        return _fail(str(error), USAGE if usage else FAILED)
    except OSError as error:
        if error.filename is None:
            raise
        _log.debug("the command failed", exc_info=True)
        return _fail(str(_unusable(error)), USAGE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as error:
        if error.code == FAILED and _began_with_interrupt(error):
            return INTERRUPTED
        raise
    return 0


def _extras(arguments: list[str]) -> str:
    """What has to be installed for the command that was asked for."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    return _EXTRAS.get(command, _PLAIN)


def _unusable(error: OSError) -> InvalidRequest:
    """The error of a file or folder that a command was told to use, and that nothing else has a better word for."""
    return InvalidRequest(
        ErrorCode.INVALID_ARGUMENT,
        f"{error.filename} cannot be used ({error.strerror}); name another place, or make it yours to read and write",
        errno=error.errno,
    )


def _began_with_interrupt(error: BaseException) -> bool:
    """Whether it came of Ctrl-C: at a question typer makes an Abort of that, and ends as for the answer no."""
    origin = error.__context__
    return isinstance(origin, KeyboardInterrupt) or (origin is not None and _began_with_interrupt(origin))


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
