"""Deadlines: one moment, two clocks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.producers.deadline import MAX_TIMEOUT_S, Deadline, Moment, checked_timeout
from manyheads.topics.errors import DeadlineExceeded, ErrorCode, InvalidRequest

NOW = Moment(now=50.0, now_ms=1_800_000_000_000)


@given(st.floats(1e-6, MAX_TIMEOUT_S))
def test_both_clocks_agree_to_the_millisecond(timeout: float) -> None:
    deadline = Deadline.after(timeout, NOW)
    assert deadline.at == 50.0 + timeout
    # The stages never give up before the client does.
    assert 0 <= (deadline.at_ms - NOW.now_ms) - timeout * 1000 < 1


def test_an_absolute_deadline_travels_unchanged() -> None:
    deadline = Deadline.at_epoch_ms(NOW.now_ms + 2_500, NOW)
    assert deadline == Deadline(at=52.5, at_ms=NOW.now_ms + 2_500)


@pytest.mark.parametrize("late_ms", [0, 1, 60_000])
def test_a_deadline_in_the_past_is_exceeded_at_once(late_ms: int) -> None:
    with pytest.raises(DeadlineExceeded, match="nothing was sent") as raised:
        Deadline.at_epoch_ms(NOW.now_ms - late_ms, NOW)
    assert raised.value.details == {"late_ms": late_ms}


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, MAX_TIMEOUT_S + 1, True, "10", None])
def test_what_is_no_timeout_is_refused(timeout: object) -> None:
    with pytest.raises(InvalidRequest, match="no timeout") as raised:
        checked_timeout(timeout)  # type: ignore[arg-type]
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_seconds_instead_of_milliseconds_are_a_deadline_long_past() -> None:
    with pytest.raises(DeadlineExceeded):
        Deadline.at_epoch_ms(NOW.now_ms // 1000, NOW)
