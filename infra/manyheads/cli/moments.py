"""Moments as people write them: how long ago, or when."""

import re
from datetime import UTC, datetime

from manyheads.topics.errors import ErrorCode, InvalidRequest

_AGO = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds(text: str) -> int:
    """The seconds of a span such as ``90s``, ``30m``, ``24h`` or ``7d``. Raises InvalidRequest(invalid_argument)."""
    match = _AGO.fullmatch(text)
    if match is None:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT, f"{text!r:.40} is no span of time; write for example 90s, 30m, 24h or 7d"
        )
    return int(match[1]) * _SECONDS[match[2]]


def moment_ms(text: str, now_ms: int) -> int:
    """Milliseconds since the epoch of a moment: a span before ``now_ms``, or a date and time of ISO 8601.

    A time without a zone is UTC.

    Raises:
        InvalidRequest: invalid_argument.
    """
    if _AGO.fullmatch(text):
        return now_ms - seconds(text) * 1_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"{text!r:.40} is no moment; write how long ago (90s, 30m, 24h, 7d) or when (2026-11-20T14:00)",
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def shown(at_ms: int) -> str:
    """A moment for people, in UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%SZ}"
