"""Matrix products for graphs whose rows must not know of each other.

Dynamic quantisation as ONNX Runtime ships it takes one scale from the whole batch, so a row's result depends on its
neighbours. Here every row has its own scale: the int8 product is exact, what surrounds it works row by row, and so a
row's result is the same, bit by bit, in any batch.
"""

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from manyheads.infra.onnx.graph import GraphBuilder

Floats = npt.NDArray[np.float32]

_TINY = np.float32(1e-30)  # the scale of a row of zeros: anything but zero will do


def quantised_columns(weight: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """A weight [in, out] as int8 and one scale per output column [out]: ``weight = int8 x scale``, symmetric."""
    scales = np.maximum(np.abs(weight).max(axis=0) / np.float32(127), _TINY).astype(np.float32)
    return np.rint(weight / scales).astype(np.int8), scales


def per_token_linear(
    graph: GraphBuilder,
    x: str,
    weight: Floats,
    bias: Floats | None = None,
    *,
    lower_bound: float | None = None,
    hint: str = "linear",
) -> str:
    """``x @ weight + bias`` in int8, each row of ``x`` quantised by itself.

    Activations are unsigned with zero point 128 and weights signed per output column, which is what VNNI and AMX
    kernels are fast at.

    Args:
        graph: where the nodes go.
        x: float32 [rows, in].
        weight: [in, out].
        bias: [out].
        lower_bound: a value that no element of ``x`` is below, if it is close to zero (-0.17 behind a GELU). All 255
            levels then serve what lies above it, which halves the rounding error of one-sided activations.
        hint: how the constants are named.

    Returns:
        float32 [rows, out].
    """
    quantised, column_scales = quantised_columns(weight)
    if lower_bound is None:
        row_scale, activations, zero_point = _quantise_symmetric(graph, x)
    else:
        row_scale, activations, zero_point = _quantise_above(graph, x, lower_bound)
        lost = lower_bound * (quantised.astype(np.float64).sum(axis=0) * column_scales)
        bias = (lost + (0.0 if bias is None else bias)).astype(np.float32)
    product = graph.add(
        "com.microsoft::MatMulIntegerToFloat",
        activations,
        graph.constant(quantised, f"{hint}.weight"),
        graph.constant(np.float32(1), "one"),
        graph.constant(column_scales, f"{hint}.scale"),
        zero_point,
    )
    scaled = graph.add("Mul", product, row_scale)
    return scaled if bias is None else graph.add("Add", scaled, graph.constant(bias, f"{hint}.bias"))


def float_linear(graph: GraphBuilder, x: str, weight: Floats, bias: Floats | None = None, hint: str = "linear") -> str:
    """``x @ weight + bias`` in float32: x [rows, in], weight [in, out], bias [out].

    A row of several is independent of the others, but a single row may take another kernel and differ in the last bit.
    """
    product = graph.add("MatMul", x, graph.constant(weight, f"{hint}.weight"))
    return product if bias is None else graph.add("Add", product, graph.constant(bias, f"{hint}.bias"))


def _quantise_symmetric(graph: GraphBuilder, x: str) -> tuple[str, str, str]:
    """Row scales [rows, 1], uint8 activations around 128, and their zero point."""
    largest = _row_max(graph, graph.add("Abs", x))
    row_scale = _row_scale(graph, largest, levels=127)
    per_row = graph.add("Squeeze", row_scale, graph.constant(np.array([1], np.int64), "last_axis"))
    zero_points = graph.add(
        "ConstantOfShape", graph.add("Shape", per_row), value=numpy_helper.from_array(np.array([128], np.uint8))
    )
    activations = graph.add("QuantizeLinear", x, per_row, zero_points, axis=0)
    return row_scale, activations, graph.constant(np.uint8(128), "zero_point")


def _quantise_above(graph: GraphBuilder, x: str, lower_bound: float) -> tuple[str, str, str]:
    """The same for elements of at least ``lower_bound``, which itself becomes zero."""
    shifted = graph.add("Sub", x, graph.constant(np.float32(lower_bound), "lower_bound"))
    row_scale = _row_scale(graph, _row_max(graph, shifted), levels=255)
    per_row = graph.add("Squeeze", row_scale, graph.constant(np.array([1], np.int64), "last_axis"))
    activations = graph.add("QuantizeLinear", shifted, per_row, axis=0)
    return row_scale, activations, graph.constant(np.uint8(0), "zero_point")


def _row_max(graph: GraphBuilder, x: str) -> str:
    return graph.add("ReduceMax", x, graph.constant(np.array([1], np.int64), "last_axis"), keepdims=1)


def _row_scale(graph: GraphBuilder, largest: str, levels: int) -> str:
    scale = graph.add("Mul", largest, graph.constant(np.float32(1 / levels), "per_level"))
    return graph.add("Max", scale, graph.constant(_TINY, "tiny"))
