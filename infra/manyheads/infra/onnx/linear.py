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
_LAST_AXIS = np.array([1], np.int64)
_SYMMETRIC_ZERO_POINT = np.array([128], np.uint8)
# One in eight levels for what is below zero. A fixed zero point, unlike the best one for each row, costs no pass.
_ONE_SIDED_ZERO_POINT = np.array([32], np.uint8)


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

    Activations are unsigned around a zero point and weights signed with a scale per output column, which is what VNNI
    and AMX kernels are fast at.

    Args:
        graph: where the nodes go.
        x: float32 [rows, in].
        weight: [in, out].
        bias: [out].
        lower_bound: a value slightly below zero that no element of ``x`` is below (-0.17 behind a GELU). Most levels
            then serve what lies above zero, which nearly halves the rounding error of one-sided activations.
        hint: how the constants are named.

    Returns:
        float32 [rows, out].
    """
    zero_point = _SYMMETRIC_ZERO_POINT if lower_bound is None else _ONE_SIDED_ZERO_POINT
    row_scale = _symmetric_scale(graph, x) if lower_bound is None else _one_sided_scale(graph, x, lower_bound)
    per_row = graph.add("Squeeze", row_scale, graph.constant(_LAST_AXIS, "last_axis"))
    zero_points = graph.add("ConstantOfShape", graph.add("Shape", per_row), value=numpy_helper.from_array(zero_point))
    quantised, column_scales = quantised_columns(weight)
    product = graph.add(
        "com.microsoft::MatMulIntegerToFloat",
        graph.add("QuantizeLinear", x, per_row, zero_points, axis=0),
        graph.constant(quantised, f"{hint}.weight"),
        graph.constant(np.float32(1), "one"),
        graph.constant(column_scales, f"{hint}.scale"),
        graph.constant(zero_point[0], "zero_point"),
    )
    scaled = graph.add("Mul", product, row_scale)
    return scaled if bias is None else graph.add("Add", scaled, graph.constant(bias, f"{hint}.bias"))


def float_linear(graph: GraphBuilder, x: str, weight: Floats, bias: Floats | None = None, hint: str = "linear") -> str:
    """``x @ weight + bias`` in float32: x [rows, in], weight [in, out], bias [out].

    A row among several is independent of the others, but a single row may take another kernel and differ in the last
    bits.
    """
    product = graph.add("MatMul", x, graph.constant(weight, f"{hint}.weight"))
    return product if bias is None else graph.add("Add", product, graph.constant(bias, f"{hint}.bias"))


def _symmetric_scale(graph: GraphBuilder, x: str) -> str:
    """[rows, 1]: the step that spreads a row over -127 to 127."""
    step = _scaled_maximum(graph, graph.add("Abs", x), levels=127)
    return graph.add("Max", step, graph.constant(_TINY, "tiny"))


def _one_sided_scale(graph: GraphBuilder, x: str, lower_bound: float) -> str:
    """[rows, 1]: the step that reaches the row's maximum above the zero point and ``lower_bound`` below it."""
    zero_point = int(_ONE_SIDED_ZERO_POINT[0])
    step = _scaled_maximum(graph, x, levels=255 - zero_point)
    return graph.add("Max", step, graph.constant(np.float32(-lower_bound / zero_point), "smallest_step"))


def _scaled_maximum(graph: GraphBuilder, x: str, levels: int) -> str:
    largest = graph.add("ReduceMax", x, graph.constant(_LAST_AXIS, "last_axis"), keepdims=1)
    return graph.add("Mul", largest, graph.constant(np.float32(1 / levels), "per_level"))
