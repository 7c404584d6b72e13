"""The window of samples, the rates and the ETA of one partition; and whose turn it is."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.lag.history import History, Pace, longest
from manyheads.infra.lag.judge import NOTHING_COMMITTED, Rules, Sample, latest
from manyheads.infra.lag.turns import Turns

RULES = Rules(intervals=10, patience_s=6)


def history(*samples: Sample, rules: Rules = RULES) -> History:
    found = History(rules)
    for sample in samples:
        found.add(sample)
    return found


def at(second: float, offset: int, end: int, lag: int | None = None) -> Sample:
    return Sample(second, offset, end, end - offset if lag is None else lag, owned=True)


rounds = st.lists(
    st.tuples(st.floats(0.01, 30), st.integers(0, 500), st.floats(0, 1)), min_size=1, max_size=30
)  # seconds since the last one, records that came, how much of what waited was done


def played(played_rounds: list[tuple[float, int, float]]) -> list[Sample]:
    samples, now, end, offset = [], 0.0, 0, 0
    for seconds, came, share in played_rounds:
        now, end = now + seconds, end + came
        offset += int((end - offset) * share)
        samples.append(at(now, offset, end))
    return samples


@given(played_rounds=rounds)
def test_rates_and_eta_belong_together(played_rounds: list[tuple[float, int, float]]) -> None:
    found = history(*played(played_rounds))
    pace, window = found.pace(), found.window
    first, last = window[0], window[-1]
    if len(window) == 1:
        assert pace == Pace(eta_s=0.0 if last.lag == 0 else None)
        return
    assert pace.arrival_rate is not None
    assert pace.completion_rate is not None
    assert pace.eta_s is not None
    seconds = last.at_s - first.at_s
    assert pace.arrival_rate * seconds == pytest.approx(last.end - first.end)
    assert pace.completion_rate * seconds == pytest.approx(last.offset - first.offset)
    assert pace.eta_s >= 0
    assert (pace.eta_s == 0) is (last.lag == 0)
    if pace.completion_rate == 0 < last.lag:
        assert pace.eta_s == math.inf, "nothing is done, so it never ends"
    if pace.completion_rate > pace.arrival_rate and last.lag:
        assert last.lag / pace.completion_rate <= pace.eta_s < math.inf


@given(played_rounds=rounds)
def test_the_window_is_full_covers_the_patience_and_no_more(played_rounds: list[tuple[float, int, float]]) -> None:
    samples = played(played_rounds)
    window = history(*samples).window
    assert list(window) == samples[-len(window) :]
    assert len(window) >= min(len(samples), RULES.intervals)
    if len(window) < len(samples):
        assert latest(window, RULES.patience_s) is not None
    if len(window) > RULES.intervals:
        assert latest(window[1:], RULES.patience_s) is None, "it could have been shorter"


def test_a_backlog_that_grows_never_ends() -> None:
    samples = [at(2 * n, 10 * n, 100 + 15 * n) for n in range(5)]
    assert history(*samples).pace() == Pace(7.5, 5.0, math.inf)


def test_a_backlog_that_shrinks_ends() -> None:
    samples = [at(2 * n, 20 * n, 100 + 10 * n) for n in range(5)]
    assert history(*samples).pace() == Pace(5.0, 10.0, 60 / 5)


def test_work_in_hand_is_no_backlog() -> None:
    """A group that keeps up always has something in hand: that is done at the rate of completions."""
    samples = [at(2 * n, 200 * n, 200 * n + 50) for n in range(5)]
    assert history(*samples).pace().eta_s == pytest.approx(0.5)
    since_nothing_waited = [at(0, 100, 100), at(2, 200, 210), at(4, 210, 330)]
    assert history(*since_nothing_waited).pace().eta_s == pytest.approx(120 / 27.5)


def test_a_marker_that_is_stepped_over_is_no_work_left() -> None:
    """The committed offset stays before the marker, and nothing waits."""
    found = history(at(0, 0, 6, lag=5), at(2, 5, 6, lag=0)).pace()
    assert (found.completion_rate, found.eta_s) == (2.5, 0.0)


def test_an_offset_that_goes_back_is_no_negative_work() -> None:
    assert history(at(0, 50, 50), at(2, 10, 50)).pace() == Pace(0.0, 0.0, math.inf)


def test_a_topic_made_anew_begins_anew() -> None:
    found = history(at(0, 80, 100), at(2, 90, 100), at(4, 0, 3))
    assert found.window == (at(4, 0, 3),)
    assert found.pace() == Pace()


def test_an_offset_that_is_gone_is_remembered_beyond_the_window() -> None:
    found = history(at(0, NOTHING_COMMITTED, 9, lag=9))
    assert found.vanished is None, "there never was one"
    found.add(at(2, 7, 9))
    for second in range(4, 60, 2):
        found.add(at(second, NOTHING_COMMITTED, 9, lag=9))
        assert found.vanished == 7
    found.add(at(60, 8, 9))
    assert found.vanished is None


@pytest.mark.parametrize(
    ("etas", "together"),
    [
        ([], None),
        ([0.0], 0.0),
        ([1.0, 30.0, 0.0], 30.0),
        ([1.0, None], None),
        ([1.0, None, math.inf], math.inf),
        ([None], None),
    ],
)
def test_the_longest_eta_counts(etas: list[float | None], together: float | None) -> None:
    assert longest(etas) == together


# --- turns ---


@given(waiting=st.integers(1, 40), most=st.integers(1, 10))
def test_everybody_has_a_turn_in_time(waiting: int, most: int) -> None:
    turns: Turns[int] = Turns(most)
    served = [set(turns.take(range(waiting))) for _ in range(60)]
    assert all(len(each) == min(most, waiting) for each in served)
    for who in range(waiting):
        rounds_of_who = [number for number, each in enumerate(served) if who in each]
        gaps = [after - before for before, after in pairwise([-1, *rounds_of_who])]
        assert max(gaps) <= -(-waiting // most)


def test_newcomers_wait_behind_the_others_and_leavers_are_forgotten() -> None:
    turns: Turns[str] = Turns(2)
    assert turns.take("abc") == ["a", "b"]
    assert turns.take("xabc") == ["c", "a"], "c has waited, and x has only just come"
    assert turns.take("bx") == ["b", "x"]
    assert turns.take("") == []
    assert turns.take("cba") == ["c", "b"]
