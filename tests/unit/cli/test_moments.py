"""Moments on the command line."""

from datetime import UTC, datetime, timedelta

import pytest

from manyheads.cli.moments import moment_ms, seconds, shown
from manyheads.topics.errors import ErrorCode, InvalidRequest

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1_000)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90s", timedelta(seconds=90)), ("30m", timedelta(minutes=30)), ("24h", timedelta(days=1)), ("7d", timedelta(7))],
)
def test_how_long_ago(text: str, ago: timedelta) -> None:
    assert moment_ms(text, NOW_MS) == int((NOW - ago).timestamp() * 1_000)
    assert seconds(text) == ago.total_seconds()


@pytest.mark.parametrize("text", ["2026-11-20T14:00", "2026-11-20T14:00Z", "2026-11-20T15:00+01:00"])
def test_when(text: str) -> None:
    assert shown(moment_ms(text, NOW_MS)) == "2026-11-20 14:00:00Z"


@pytest.mark.parametrize("text", ["99999d", "1969-12-31", "0001-01-01", "1970-01-01T00:00+01:00"])
def test_nothing_is_before_1970(text: str) -> None:
    """Kafka takes a negative time for something else, or refuses it."""
    assert moment_ms(text, NOW_MS) == 0


@pytest.mark.parametrize("text", ["999999d", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00+12:00"])
def test_a_moment_beyond_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="years 1 to 9999") as caught:
        moment_ms(text, NOW_MS)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("at_ms", "says"),
    [
        (0, "1970-01-01 00:00:00Z"),
        (253_402_300_799_999, "9999-12-31 23:59:59Z"),
        (253_402_300_800_000, "after the year 9999"),
        (NOW_MS + 2**63 - 1, "after the year 9999"),
        (-(2**63), "before the year 1"),
    ],
)
def test_any_number_is_shown(at_ms: int, says: str) -> None:
    assert shown(at_ms) == says


@pytest.mark.parametrize("text", ["", "yesterday", "24", "h", "-1h", "1.5h", "2026-13-01", "9999999h"])
def test_no_moment(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        moment_ms(text, NOW_MS)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    with pytest.raises(InvalidRequest):
        seconds(text)
