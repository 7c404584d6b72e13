"""Tensors of the wire to and from numpy arrays. The only module of the contract that needs numpy."""

import numpy as np
import numpy.typing as npt

from manyheads.topics.errors import ErrorCode, InternalError, WireError
from manyheads.topics.tensor import Precision, Tensor

FloatArray = npt.NDArray[np.float32]

_STEPS = np.float32(127)
_MIN_SCALE = np.float32(np.finfo(np.float32).tiny)
# A step below the quotient, which rounds up: 127 steps of this scale are still finite.
_MAX_SCALE = np.nextafter(np.finfo(np.float32).max / _STEPS, np.float32(0))


def to_tensor(array: FloatArray, precision: Precision = Precision.INT8) -> Tensor:
    """A float32 array [..., width], of one element at least, as a wire tensor.

    int8 is symmetric with one scale per row, ``value = int8 x scale``, so a row never depends on another, and an
    element is off by half its row's scale at most. float16 saturates at its largest value.

    Raises:
        InternalError: internal, if an element is not finite: what computed it is at fault.
    """
    array = np.ascontiguousarray(array, dtype=np.float32)
    if not array.size:
        raise ValueError(f"a tensor has at least one element, not the shape {array.shape}")
    if precision is Precision.INT8:
        return _quantised(array)
    if not np.isfinite(array).all():
        raise _not_finite()
    if precision is Precision.FLOAT16:
        limit = np.finfo(np.float16).max
        return Tensor(precision, array.shape, np.clip(array, -limit, limit).astype("<f2").tobytes())
    return Tensor(precision, array.shape, array.astype("<f4", copy=False).tobytes())


def _quantised(array: FloatArray) -> Tensor:
    rows = array.reshape(-1, array.shape[-1])
    largest = np.abs(rows).max(axis=1)
    if not np.isfinite(largest).all():
        raise _not_finite()
    scales = np.clip(largest / _STEPS, _MIN_SCALE, _MAX_SCALE)
    # No clipping: a row's largest element over its scale rounds to 127, never beyond.
    steps = rows / scales[:, None]
    np.rint(steps, out=steps)
    data = steps.astype(np.int8).tobytes()
    return Tensor(Precision.INT8, array.shape, data, scales.astype("<f4", copy=False).tobytes())


def to_array(tensor: Tensor) -> FloatArray:
    """The float32 array [..., width] of a wire tensor; read-only where it is a view of the record.

    Raises:
        WireError: malformed_message, if an element is not finite.
    """
    match tensor.precision:
        case Precision.FLOAT32:
            array = np.frombuffer(tensor.data, dtype="<f4").astype(np.float32, copy=False)
            finite = np.isfinite(array).all()
        case Precision.FLOAT16:
            array = np.frombuffer(tensor.data, dtype="<f2").astype(np.float32)
            finite = np.isfinite(array).all()
        case Precision.INT8:
            scales = np.frombuffer(tensor.scales, dtype="<f4").astype(np.float32, copy=False)
            # The scales tell it for all elements; a scale that is not a number compares false.
            finite = scales.min() >= 0 and scales.max() <= _MAX_SCALE
            quantised = np.frombuffer(tensor.data, dtype=np.int8).reshape(tensor.rows, tensor.shape[-1])
            array = quantised.astype(np.float32)
            if finite:
                array *= scales[:, None]
    if not finite:
        raise WireError(
            ErrorCode.MALFORMED_MESSAGE,
            f"a {tensor.precision.label} tensor of shape {tensor.shape} holds elements that are not finite",
        )
    return array.reshape(tensor.shape)


def _not_finite() -> InternalError:
    return InternalError(ErrorCode.INTERNAL, "an embedding is not finite: the encoder computed infinity or no number")
