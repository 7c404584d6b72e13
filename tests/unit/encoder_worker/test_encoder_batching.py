"""Which texts share a run."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from manyheads.encoder_worker.batching import plan_runs

_LENGTHS = st.lists(st.integers(3, 250), max_size=80)


@given(_LENGTHS, st.integers(1, 600))
def test_every_text_is_in_one_run_and_no_run_is_above_the_budget(lengths: list[int], budget: int) -> None:
    runs = plan_runs(lengths, budget)
    assert sorted(index for run in runs for index in run) == list(range(len(lengths)))
    for run in runs:
        assert sum(lengths[i] for i in run) <= budget or len(run) == 1


@given(_LENGTHS, st.integers(1, 600))
def test_shorter_texts_come_first_and_a_run_is_left_only_when_full(lengths: list[int], budget: int) -> None:
    runs = plan_runs(lengths, budget)
    in_order = [lengths[i] for run in runs for i in run]
    assert in_order == sorted(lengths)
    for run, following in itertools.pairwise(runs):
        assert sum(lengths[i] for i in run) + lengths[following[0]] > budget


def test_nothing_is_no_run() -> None:
    assert plan_runs([], 100) == []
