"""Moments as people write them: how long ago, or when."""

import re
from datetime import UTC, datetime, timedelta

from manyheads.topics.errors import ErrorCode, InvalidRequest

_AGO = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


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

    A time without a zone is UTC. One before 1970 is 1970: no record is older, and Kafka refuses to be asked.

    Raises:
        InvalidRequest: invalid_argument; also for what lies before the year 1 or after 9999.
    """
    try:
        moment = _moment(text, now_ms).astimezone(UTC)
    except ValueError:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"{text!r:.40} is no moment; write how long ago (90s, 30m, 24h, 7d) or when (2026-11-20T14:00)",
        ) from None
    except OverflowError:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT, f"{text!r:.40} is not within the years 1 to 9999 of UTC; write a moment that is"
        ) from None
    return max(0, (moment - _EPOCH) // _MILLISECOND)


def _moment(text: str, now_ms: int) -> datetime:
    """Raises ValueError, or OverflowError for one beyond the calendar."""
    if _AGO.fullmatch(text):
        return _EPOCH + now_ms * _MILLISECOND - timedelta(seconds=seconds(text))
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def shown(at_ms: int) -> str:
    """A moment for people, in UTC, whatever the number."""
    try:
        return f"{_EPOCH + timedelta(milliseconds=at_ms):%Y-%m-%d %H:%M:%SZ}"
    except OverflowError:
        return "before the year 1" if at_ms < 0 else "after the year 9999"
