"""Tensors: exact as float32, within half a step as int8, each row by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from manyheads.topics.arrays import to_array, to_tensor
from manyheads.topics.errors import ErrorCode, InternalError, WireError
from manyheads.topics.tensor import Precision, Tensor
from tests.unit.topics.strategies import floats32, shapes

precisions = pytest.mark.parametrize("precision", Precision, ids=lambda precision: precision.label)
MATRIX = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=16)


def through_the_wire(array: np.ndarray, precision: Precision) -> np.ndarray:
    back = to_array(Tensor.from_bytes(to_tensor(array, precision).to_bytes()))
    assert back.shape == array.shape
    assert back.dtype == np.float32
    return back


@given(floats32(shapes))
def test_float32_is_exact(array: np.ndarray) -> None:
    assert through_the_wire(array, Precision.FLOAT32).tobytes() == array.tobytes()


@given(floats32(shapes))
def test_float16_rounds_and_saturates(array: np.ndarray) -> None:
    limit = np.finfo(np.float16).max
    expected = np.clip(array, -limit, limit).astype(np.float16).astype(np.float32)
    assert np.array_equal(through_the_wire(array, Precision.FLOAT16), expected)


@given(floats32(shapes))
def test_int8_is_off_by_half_a_step_at_most(array: np.ndarray) -> None:
    back = through_the_wire(array, Precision.INT8)
    exact = array.astype(np.float64).reshape(-1, array.shape[-1])
    tiny = float(np.finfo(np.float32).tiny)
    steps = np.maximum(np.abs(exact).max(axis=1, keepdims=True) / 127, tiny)
    # Beside the half step there is float32's own rounding, of the scale and of the product.
    rounding = np.abs(exact).max(axis=1, keepdims=True) * 4 * np.finfo(np.float32).eps
    assert (np.abs(back.astype(np.float64).reshape(exact.shape) - exact) <= steps / 2 + rounding).all()


@precisions
@given(floats32(MATRIX), st.data())
def test_a_row_never_depends_on_another(precision: Precision, array: np.ndarray, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(array) - 1))
    alone = through_the_wire(array[row : row + 1], precision)
    assert through_the_wire(array, precision)[row].tobytes() == alone[0].tobytes()


@precisions
def test_what_is_zero_stays_zero(precision: Precision) -> None:
    assert not through_the_wire(np.zeros((3, 5), np.float32), precision).any()


@precisions
def test_an_array_in_any_layout(precision: Precision) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(through_the_wire(array.T, precision), through_the_wire(array.T.copy(), precision))


@precisions
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_an_embedding_that_is_not_finite_is_not_sent(precision: Precision, wrong: float) -> None:
    array = np.ones((2, 3), np.float32)
    array[1, 2] = wrong
    with pytest.raises(InternalError, match="not finite") as caught:
        to_tensor(array, precision)
    assert caught.value.code is ErrorCode.INTERNAL


@precisions
def test_an_array_without_elements_is_a_defect(precision: Precision) -> None:
    with pytest.raises(ValueError, match="at least one element"):
        to_tensor(np.zeros((0, 4), np.float32), precision)


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(Precision.FLOAT32, (1, 1), np.float32(np.nan).tobytes()),
        Tensor(Precision.FLOAT16, (1, 2), np.array([1, np.inf], "<f2").tobytes()),
        Tensor(Precision.INT8, (2, 1), b"\x01\x01", np.array([1, np.nan], "<f4").tobytes()),
        Tensor(Precision.INT8, (1, 1), b"\x01", np.float32(np.inf).tobytes()),
        Tensor(Precision.INT8, (1, 1), b"\x01", np.float32(-1).tobytes()),
        Tensor(Precision.INT8, (1, 1), b"\x7f", np.finfo(np.float32).max.tobytes()),
    ],
    ids=lambda tensor: tensor.precision.label,
)
def test_a_tensor_that_is_not_finite_is_not_read(tensor: Tensor) -> None:
    with pytest.raises(WireError, match="not finite") as caught:
        to_array(Tensor.from_bytes(tensor.to_bytes()))
    assert caught.value.code is ErrorCode.MALFORMED_MESSAGE


@pytest.mark.parametrize(
    "payload", [b"", b"\x00", b"\x00\x01", b"\x00\x01\x01\x00\x00", b"\x00\x05" + b"\x01\x00\x00\x00" * 5]
)
def test_a_tensor_without_a_whole_header(payload: bytes) -> None:
    with pytest.raises(WireError) as caught:
        Tensor.from_bytes(payload)
    assert caught.value.code is ErrorCode.MALFORMED_MESSAGE


@given(floats32(shapes), st.sampled_from(Precision), st.integers(-8, 8).filter(bool))
def test_a_tensor_of_another_length_is_refused(array: np.ndarray, precision: Precision, change: int) -> None:
    payload = to_tensor(array, precision).to_bytes()
    with pytest.raises(WireError):
        Tensor.from_bytes(payload + bytes(change) if change > 0 else payload[:change])


@pytest.mark.parametrize(
    ("precision", "size"), [(Precision.FLOAT32, 46_080), (Precision.FLOAT16, 23_040), (Precision.INT8, 11_580)]
)
def test_fifteen_tokens_of_768(precision: Precision, size: int) -> None:
    """15 tokens x 768: the elements, 60 bytes of scales for int8, and 10 bytes that say what they are."""
    array = np.ones((15, 768), np.float32)
    assert len(to_tensor(array, precision).to_bytes()) == size + 10
