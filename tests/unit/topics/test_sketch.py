"""The latency sketch: right within its error, also when merged, and strict about what it reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.topics.sketch import MAX_BINS, RELATIVE_ERROR, Sketch

durations = st.lists(st.floats(min_value=0.02, max_value=9e6), min_size=1, max_size=300)
shares = st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0])


@given(durations, shares)
def test_every_quantile_is_within_the_error(values: list[float], share: float) -> None:
    true = sorted(values)[int(share * (len(values) - 1))]
    found = Sketch.of(values).quantile(share)
    assert found is not None
    assert abs(found - true) <= true * RELATIVE_ERROR * 1.0001


@given(st.lists(durations, max_size=5))
def test_merged_sketches_are_the_sketch_of_all(parts: list[list[float]]) -> None:
    merged = Sketch()
    for part in parts:
        merged.merge(Sketch.of(part))
    assert merged == Sketch.of([value for part in parts for value in part])
    assert merged.count == sum(map(len, parts))


@given(durations, durations)
def test_what_was_merged_can_be_taken_away(kept: list[float], gone: list[float]) -> None:
    sketch = Sketch.of(kept)
    sketch.merge(Sketch.of(gone))
    sketch.take_away(Sketch.of(gone))
    assert sketch == Sketch.of(kept)


@given(st.lists(st.floats(allow_nan=False), max_size=100))
def test_any_duration_is_counted_and_comes_back_from_the_wire(values: list[float]) -> None:
    sketch = Sketch.of(values)
    assert sketch.count == len(values)
    assert Sketch.from_wire(sketch.to_wire()) == sketch


def test_an_empty_sketch_has_no_quantile() -> None:
    assert Sketch().quantiles(0.5, 0.99) == (None, None)
    assert Sketch.from_wire([]) == Sketch()


def test_it_is_bounded() -> None:
    sketch = Sketch.of(1.0001**exponent for exponent in range(-100_000, 200_000))
    assert len(sketch.bins) <= MAX_BINS < 1_100


@pytest.mark.parametrize("wire", [None, "x", [1], [0, 0], [0, -1], [5_000, 1], [1, 1, 0, 1], [0, 1.5], [0, True], {}])
def test_what_is_no_sketch_is_refused(wire: object) -> None:
    with pytest.raises(ValueError, match="a sketch"):
        Sketch.from_wire(wire)
