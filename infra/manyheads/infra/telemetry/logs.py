"""Logs as JSON lines: one event, one line, whatever is in it."""

import json
import logging
import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from manyheads.topics.errors import ErrorCode, InvalidSettings, ManyheadsError


class Event:
    """The message of a log record that :func:`event` made. Under a plain formatter it reads ``name key=value``."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: Mapping[str, object]) -> None:
        self.name = name
        self.fields = fields

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={value!r}" for key, value in self.fields.items())])


def event(
    logger: logging.Logger, name: str, /, *, level: int = logging.INFO, exc_info: bool = False, **fields: object
) -> None:
    """Log that ``name`` happened, with its fields.

    Args:
        logger: the module's logger.
        name: what happened, in snake case and without values, such as ``worker_ready``.
        level: a level of :mod:`logging`.
        exc_info: add the exception that is being handled, with its traceback.
        fields: values that JSON has; a ManyheadsError becomes its code, message and details, anything else its str.
    """
    if logger.isEnabledFor(level):
        logger.log(level, Event(name, fields), exc_info=exc_info, stacklevel=2)


class JsonFormatter(logging.Formatter):
    """A log record as one line: ``time``, ``level``, ``logger``, ``event``, its fields, ``exception``.

    A record that is no :func:`event`, such as a library's, has the event ``log`` and its text under ``message``.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if isinstance(record.msg, Event):
            line["event"] = record.msg.name
            fields = record.msg.fields
        else:
            line["event"] = "log"
            fields = {"message": record.getMessage()}
        for key, value in fields.items():
            line[f"{key}_" if key in line else key] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _dumps(line)


def _dumps(line: dict[str, object]) -> str:
    try:
        return json.dumps(line, default=_plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        # A line is never lost for what is in it: no number, a list within itself, a key that is no string.
        return json.dumps({key: value if _has_json(value) else repr(value) for key, value in line.items()})


def _has_json(value: object) -> bool:
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _plain(value: object) -> object:
    if isinstance(value, ManyheadsError):
        return {"code": value.code, "message": value.message} | value.details
    return str(value)


def configure_logging(level: str | int = "INFO", stream: TextIO | None = None) -> None:
    """Send this process's logs to ``stream`` (standard error unless given) as JSON lines.

    For a program's entry point; a library never calls it. Calling it again replaces the earlier call.

    Raises:
        InvalidSettings: the level is none of Python's.
    """
    handler: logging.StreamHandler[Any] = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    try:
        root.setLevel(level.upper() if isinstance(level, str) else level)
    except ValueError:
        raise InvalidSettings(
            ErrorCode.INVALID_SETTINGS,
            f"the log level {level!r} is unknown; use DEBUG, INFO, WARNING, ERROR or CRITICAL",
            setting="log_level",
        ) from None
    for old in list(root.handlers):
        if isinstance(old.formatter, JsonFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
