"""Burrow's rules: its published examples, the cases that its own tests document, and what sampling adds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.lag.judge import NOTHING_COMMITTED, Rules, Sample, judge
from manyheads.infra.lag.model import LagState


def commits(offsets: list[int], lags: list[int], every_s: float = 60) -> list[Sample]:
    """One commit at each interval, from time 0 on."""
    return [
        Sample(number * every_s, offset, offset + lag, lag, owned=True)
        for number, (offset, lag) in enumerate(zip(offsets, lags, strict=True))
    ]


def silence(window: list[Sample], at_s: float, lag: int) -> list[Sample]:
    """Then the present, with nobody there and nothing committed since."""
    last = window[-1]
    return [*window, Sample(at_s, last.offset, last.offset + lag, lag, owned=False)]


def as_burrow(window: list[Sample]) -> LagState:
    """Burrow looks at the whole window for every rule."""
    return judge(window, Rules(intervals=len(window), patience_s=window[-1].at_s - window[0].at_s))


TENS = list(range(10, 101, 10))


class TestTheRulesOfBurrowsWiki:
    """https://github.com/linkedin/Burrow/wiki/Consumer-Lag-Evaluation-Rules, rules and examples in its order."""

    def test_example_1_any_zero_lag_is_ok(self) -> None:
        window = commits(TENS, [0, 0, 0, 0, 0, 0, 1, 3, 5, 5])
        assert as_burrow(window) is LagState.OK

    def test_example_2_an_offset_that_stands_still_is_a_stall(self) -> None:
        window = commits([10] * 10, [1, 1, 1, 1, 1, 2, 2, 2, 3, 3])
        assert as_burrow(window) is LagState.STALL

    def test_example_3_offsets_that_move_under_a_lag_that_does_not_shrink_warn(self) -> None:
        window = commits(TENS, [1, 1, 1, 1, 1, 2, 2, 2, 3, 3])
        assert as_burrow(window) is LagState.WARN

    def test_example_4_a_lag_that_shrinks_anywhere_is_ok(self) -> None:
        window = commits(TENS, [5, 3, 5, 2, 1, 1, 2, 1, 4, 6])
        assert as_burrow(window) is LagState.OK

    def test_example_5_no_commit_for_longer_than_the_window_is_a_stop(self) -> None:
        window = commits(TENS, [5, 3, 5, 2, 1, 1, 2, 1, 4, 6])
        assert as_burrow(silence(window, 540 + 540, 6)) is LagState.OK, "as long as the window is not longer"
        assert as_burrow(silence(window, 1200, 6)) is LagState.STOP

    def test_a_stop_needs_something_that_waits(self) -> None:
        window = commits(TENS, [5, 3, 5, 2, 1, 1, 2, 1, 4, 0])
        assert as_burrow(silence(window, 1200, 0)) is LagState.OK


class TestTheCasesOfBurrowsTests:
    """What its evaluator's tests document beyond the wiki."""

    def test_a_stop_counts_though_the_lag_was_once_zero(self) -> None:
        window = commits([1000, 2000, 3000, 4000, 5000], [0, 50, 100, 150, 200], every_s=100)
        assert as_burrow(silence(window, 800, 200)) is LagState.OK
        assert as_burrow(silence(window, 801, 200)) is LagState.STOP

    def test_what_has_only_just_come_stops_nobody(self) -> None:
        """Burrow keeps the last ends of the log: one that the commit reached says that all was done."""
        window = commits([79, 80, 81, 82, 83], [0] * 5, every_s=1)
        window = silence(silence(window, 20, 0), 22, 1)
        assert judge(window, Rules(patience_s=2)) is LagState.OK
        for at_s in (24, 26):
            window = silence(window, at_s, 1)
        assert judge(window, Rules(patience_s=2)) is LagState.STOP

    def test_a_zero_at_the_edge_of_a_still_window_is_ok_and_then_a_stall(self) -> None:
        window = commits([1000] * 5, [0, 50, 100, 150, 200])
        assert as_burrow(window) is LagState.OK
        assert as_burrow(window[1:]) is LagState.STALL

    def test_a_still_window_with_a_fixed_lag_is_a_stall(self) -> None:
        assert as_burrow(commits([1000] * 5, [100] * 5)) is LagState.STALL

    def test_back_and_not_yet_where_it_was_is_a_rewind_whatever_the_lag(self) -> None:
        window = commits([1000, 2000, 3000, 2000, 2500], [100, 150, 0, 1250, 900])
        assert as_burrow(window) is LagState.REWIND

    def test_back_and_where_it_was_again_is_recovered(self) -> None:
        window = commits([1000, 2000, 3000, 2000, 4000], [100, 150, 200, 1250, 300])
        assert as_burrow(window) is LagState.OK

    def test_nothing_waits_now_is_ok_whatever_was(self) -> None:
        assert as_burrow([*commits([5, 4, 3], [9, 9, 9]), Sample(999, 2, 2, 0, owned=False)]) is LagState.OK


class TestSampling:
    """What we see instead of commits: an offset every two seconds, and whether a member is there."""

    RULES = Rules(intervals=10, patience_s=6)

    def test_an_idle_group_is_ok_with_or_without_members(self) -> None:
        for owned in (True, False):
            window = [Sample(2 * number, 7, 7, 0, owned) for number in range(20)]
            assert judge(window, self.RULES) is LagState.OK

    def test_a_living_worker_that_commits_nothing_stalls_after_the_patience(self) -> None:
        window = [Sample(2 * number, 7, 7, 0, owned=True) for number in range(5)]
        states = []
        for number in range(5, 10):
            window.append(Sample(2 * number, 7, 9, 2, owned=True))
            states.append(judge(window, self.RULES))
        assert states == [LagState.OK, LagState.OK, LagState.OK, LagState.STALL, LagState.STALL]

    def test_it_is_ok_with_the_first_sample_that_moved(self) -> None:
        window = [Sample(2 * number, 7, 9 + number, 2 + number, owned=True) for number in range(10)]
        assert judge(window, self.RULES) is LagState.STALL
        window.append(Sample(20, 12, 20, 8, owned=True))
        assert judge(window, self.RULES) is LagState.OK

    def test_a_worker_that_dies_stalls_first_and_stops_then(self) -> None:
        """The broker keeps it as a member until its session is over."""
        window = [Sample(2 * number, 10 * number, 10 * number + 2, 1 + number % 2, owned=True) for number in range(10)]
        states = []
        for number in range(10, 22):
            window.append(Sample(2 * number, 90, 10 * number + 1, 10 * number - 89, owned=number < 13))
            states.append(judge(window[-10:], self.RULES))
        changes = [state for before, state in zip([None, *states], states, strict=False) if state is not before]
        assert changes == [LagState.OK, LagState.STALL, LagState.STOP]
        assert states.index(LagState.STALL) <= 3, "within 8 s"

    def test_a_group_that_never_had_a_member_stops(self) -> None:
        window = [Sample(2 * number, NOTHING_COMMITTED, 5, 5, owned=False) for number in range(4)]
        assert judge(window[:3], self.RULES) is LagState.OK
        assert judge(window, self.RULES) is LagState.STOP

    def test_a_consumer_without_a_group_shows_by_its_commits(self) -> None:
        """It assigns its partitions itself, so nobody is a member; every move of the offset is a sign of life."""
        window = [Sample(2 * number, 10 * number, 10 * number + 3, 3 - number % 2, owned=False) for number in range(10)]
        assert judge(window, self.RULES) is LagState.OK

    def test_the_first_commit_of_a_group_is_no_rewind(self) -> None:
        window = [Sample(0, NOTHING_COMMITTED, 9, 9, owned=True), Sample(2, 3, 9, 6, owned=True)]
        assert judge(window, self.RULES) is LagState.OK

    def test_a_slow_group_warns_only_once_the_window_is_full(self) -> None:
        window = [Sample(2 * number, number, 3 * number + 1, 2 * number + 1, owned=True) for number in range(10)]
        assert judge(window[:9], self.RULES) is LagState.OK
        assert judge(window, self.RULES) is LagState.WARN

    def test_one_sample_tells_nothing_even_without_patience(self) -> None:
        assert judge([Sample(0, 3, 9, 6, owned=False)], Rules(patience_s=0)) is LagState.OK

    def test_no_sample_is_no_question(self) -> None:
        with pytest.raises(ValueError, match="without samples"):
            judge([], self.RULES)


samples = st.lists(st.tuples(st.integers(-1, 50), st.integers(0, 20), st.booleans()), min_size=1, max_size=15).map(
    lambda rows: [
        Sample(2.0 * n, offset, max(offset, 0) + lag, lag, owned) for n, (offset, lag, owned) in enumerate(rows)
    ]
)


@given(window=samples)
def test_every_window_has_a_state_and_only_what_waits_is_bad(window: list[Sample]) -> None:
    state = judge(window, Rules())
    assert state is not LagState.ERR, "no rule ends in ERR"
    if window[-1].lag == 0:
        assert state is LagState.OK
    if state is LagState.STALL:
        assert len({sample.offset for sample in window[-4:]}) == 1
    if state is LagState.WARN:
        assert min(sample.lag for sample in window) > 0


def test_states_are_ordered_by_severity_and_roll_up_as_burrow_does() -> None:
    states = sorted(LagState, key=lambda state: state.severity)
    assert states == ["OK", "WARN", "STALL", "STOP", "REWIND", "ERR"]
    assert [state.burrow_status for state in states] == ["OK", "WARN", "ERR", "ERR", "ERR", "ERR"]
