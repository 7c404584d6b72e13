"""The contiguous finished prefix, against a model that a reader can check by eye."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.stage.offsets import PartitionProgress


@st.composite
def _histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Offsets that rise with gaps, each finished at some time after it was taken."""
    gaps = draw(st.lists(st.integers(1, 3), min_size=1, max_size=30))
    offsets = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    waiting: list[int] = []
    steps: list[tuple[str, int]] = []
    while offsets or waiting:
        if offsets and (not waiting or draw(st.booleans())):
            waiting.append(offsets.pop(0))
            steps.append(("take", waiting[-1]))
        else:
            steps.append(("finish", waiting.pop(draw(st.integers(0, len(waiting) - 1)))))
    return steps


@given(_histories())
def test_the_position_is_the_end_of_the_finished_prefix(history: list[tuple[str, int]]) -> None:
    progress = PartitionProgress()
    taken: list[int] = []
    finished: set[int] = set()
    for what, offset in history:
        if what == "take":
            taken.append(offset)
            progress.take(offset)
        else:
            finished.add(offset)
            progress.finish(offset)
        prefix = 0
        while prefix < len(taken) and taken[prefix] in finished:
            prefix += 1
        assert progress.position == (taken[prefix - 1] + 1 if prefix else None)
        assert progress.unfinished == len(taken) - prefix
        assert progress.start == taken[0]
        assert progress.last_taken == taken[-1]
    assert progress.position == taken[-1] + 1


def test_an_offset_is_to_be_committed_once_and_again_after_a_refusal() -> None:
    progress = PartitionProgress()
    assert progress.to_commit() is None
    progress.take(7)
    assert progress.to_commit() is None
    progress.finish(7)
    assert progress.to_commit() == 8
    progress.requested(8)
    assert progress.to_commit() is None
    progress.refused()
    assert progress.to_commit() == 8


def test_a_commit_under_way_does_not_hide_what_finished_since() -> None:
    progress = PartitionProgress()
    for offset in (0, 1):
        progress.take(offset)
    progress.finish(0)
    progress.requested(1)
    progress.finish(1)
    assert progress.to_commit() == 2


@pytest.mark.parametrize("again", [5, 4])
def test_offsets_must_rise(again: int) -> None:
    progress = PartitionProgress()
    progress.take(5)
    with pytest.raises(ValueError, match=f"offset {again} was taken after 5"):
        progress.take(again)
