"""Spreading requests over partitions."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from manyheads.producers.sender import EvenSpread


@given(st.integers(1, 12), st.integers(1, 20))
def test_every_partition_gets_the_same(partitions: int, rounds: int) -> None:
    spread = EvenSpread()
    everyone = list(range(partitions))
    chosen = Counter(spread(None, everyone, everyone) for _ in range(partitions * rounds))
    assert chosen == dict.fromkeys(everyone, rounds)


def test_partitions_without_a_leader_are_left_out() -> None:
    spread = EvenSpread()
    assert {spread(None, [0, 1, 2, 3], [1, 3]) for _ in range(20)} == {1, 3}
    assert {spread(None, [0, 1], []) for _ in range(20)} == {0, 1}


def test_rings_that_take_turns_are_spread_too() -> None:
    spread = EvenSpread()
    chosen = [spread(None, [0, 1, 2, 3], [0, 1, 2, 3]) for _ in range(4_000)]
    assert all(350 < count < 650 for count in Counter(chosen[::2]).values())
