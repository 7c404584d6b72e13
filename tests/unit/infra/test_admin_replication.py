"""Which brokers get the new copies of a partition."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.admin.replication import replicas_wanted


def test_one_broker_grows_to_three() -> None:
    current = {("requests", number): [1] for number in range(6)}
    wanted = replicas_wanted(current, [1, 2, 3], 3)
    assert wanted.keys() == current.keys()
    assert all(sorted(replicas) == [1, 2, 3] for replicas in wanted.values())
    assert Counter(replicas[0] for replicas in wanted.values()) == {1: 2, 2: 2, 3: 2}


def test_what_has_enough_copies_is_left_alone() -> None:
    assert replicas_wanted({("a", 0): [2, 1], ("b", 0): [1, 2, 3]}, [1, 2, 3], 2) == {}


partitions = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 20)),
    st.lists(st.integers(1, 5), min_size=1, max_size=5, unique=True),
    max_size=20,
)


@given(partitions, st.integers(1, 5))
def test_copies_are_added_and_none_is_taken_away(current: dict[tuple[str, int], list[int]], copies: int) -> None:
    wanted = replicas_wanted(current, [1, 2, 3, 4, 5], copies)
    assert wanted.keys() == {partition for partition, replicas in current.items() if len(replicas) < copies}
    for partition, replicas in wanted.items():
        assert len(replicas) == len(set(replicas)) == copies
        assert set(replicas) >= set(current[partition])


@given(st.integers(1, 30), st.integers(2, 5))
def test_brokers_share_the_copies_and_the_leading(count: int, copies: int) -> None:
    wanted = replicas_wanted({("t", number): [1] for number in range(count)}, [1, 2, 3, 4, 5], copies)
    added = Counter(broker for replicas in wanted.values() for broker in replicas if broker != 1)
    assert max(added.values()) - min(added.get(broker, 0) for broker in (2, 3, 4, 5)) <= 1
