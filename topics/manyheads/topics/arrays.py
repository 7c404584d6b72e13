"""Tensors of the wire to and from numpy arrays. The only module of the contract that needs numpy."""

import numpy as np
import numpy.typing as npt

from manyheads.topics.tensor import Precision, Tensor

FloatArray = npt.NDArray[np.float32]

_TINY = np.float32(np.finfo(np.float32).tiny)


def to_tensor(array: FloatArray, precision: Precision = Precision.INT8) -> Tensor:
    """A float32 array [..., width] as a wire tensor.

    int8 is symmetric with one scale per row: ``value = int8 x scale``, so a row never depends on another.
    The elements must be finite; float16 saturates at its largest value.
    """
    array = np.ascontiguousarray(array, dtype=np.float32)
    match precision:
        case Precision.FLOAT32:
            return Tensor(precision, array.shape, array.astype("<f4", copy=False).tobytes())
        case Precision.FLOAT16:
            limit = np.finfo(np.float16).max
            return Tensor(precision, array.shape, np.clip(array, -limit, limit).astype("<f2").tobytes())
        case Precision.INT8:
            rows = array.reshape(-1, array.shape[-1])
            scales = np.maximum(np.abs(rows).max(axis=1, initial=0.0) / np.float32(127), _TINY).astype(np.float32)
            quantised = np.rint(rows / scales[:, None]).clip(-127, 127).astype(np.int8)
            return Tensor(precision, array.shape, quantised.tobytes(), scales.astype("<f4", copy=False).tobytes())


def to_array(tensor: Tensor) -> FloatArray:
    """The float32 array [..., width] of a wire tensor."""
    match tensor.precision:
        case Precision.FLOAT32:
            return np.frombuffer(tensor.data, dtype="<f4").reshape(tensor.shape).astype(np.float32, copy=False)
        case Precision.FLOAT16:
            halves = np.frombuffer(tensor.data, dtype="<f2")
            return halves.astype(np.float32).reshape(tensor.shape)
        case Precision.INT8:
            quantised = np.frombuffer(tensor.data, dtype=np.int8).reshape(tensor.rows, tensor.shape[-1])
            scales = np.frombuffer(tensor.scales, dtype="<f4")
            floats: FloatArray = np.multiply(quantised, scales[:, None], dtype=np.float32)
            return floats.reshape(tensor.shape)
