"""Clocks: what is measured, how exactly, and when it is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.doctor.clocks import Reading, Skew, WorkerClock, judge_machine, judge_workers, skew_of
from manyheads.infra.doctor.findings import Status

NOW = 1_795_000_000_000.0


@given(
    ahead=st.floats(-1e7, 1e7),
    there=st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500)), min_size=1, max_size=5),
)
def test_the_error_bounds_what_the_way_may_have_cost(ahead: float, there: list[tuple[float, float]]) -> None:
    # The cluster's clock shows `at` when it is read; this machine's is `ahead` of it.
    readings = [Reading(NOW + ahead, float(int(NOW + out)), NOW + ahead + out + back) for out, back in there]
    skew = skew_of(readings)
    assert abs(skew.ahead_ms - ahead) <= skew.error_ms + 1e-3


def test_the_fastest_answer_counts() -> None:
    slow = Reading(NOW, NOW + 900, NOW + 1_000)
    fast = Reading(NOW + 2_000, NOW + 2_001, NOW + 2_002)
    assert skew_of([slow, fast]) == Skew(0.0, 2.0)


@pytest.mark.parametrize(
    ("skew", "status", "seen"),
    [
        (Skew(1.2, 2), Status.OK, "1 ms ahead of the active controller's, to within 2 ms"),
        (Skew(-249, 0), Status.OK, "249 ms behind"),
        (Skew(-260, 0), Status.WARN, "260 ms behind"),
        (Skew(260, 20), Status.OK, "to within 20 ms"),
        (Skew(2_100, 20), Status.FAIL, "2100 ms ahead of"),
        (Skew(-3_600_000, 20), Status.FAIL, "3,600 s behind"),
    ],
)
def test_this_machine(skew: Skew, status: Status, seen: str) -> None:
    finding = judge_machine(skew)
    assert finding.status is status
    assert seen in finding.seen
    assert bool(finding.advice) is (status is not Status.OK)


def test_each_wrong_worker_is_named_and_the_others_are_counted() -> None:
    clocks = [
        WorkerClock("good-1", -3),
        WorkerClock("good-2", 40),
        WorkerClock("fast", 300),
        WorkerClock("slow", -5_000),
    ]
    fast, slow, others = judge_workers(clocks)
    assert (fast.subject, fast.status) == ("fast", Status.WARN)
    assert "too early" in fast.advice
    assert (slow.subject, slow.status) == ("slow", Status.FAIL)
    assert "too late" in slow.advice
    assert others.status is Status.OK
    assert others.seen == "2 within 40 ms of the broker's, by their latest reports"


def test_nothing_is_said_of_no_workers() -> None:
    assert list(judge_workers([])) == []
