"""Writes an ONNX graph one node at a time, in the order in which it computes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

_OPSET = 20
_IR_VERSION = 9  # what opset 20 came with; later runtimes read it too
_CONTRIB = "com.microsoft"

Dimension = int | str
"""A size, or the name of one that is known when the graph runs."""


class GraphBuilder:
    """A graph under construction. Values are known by their names, which every method returns.

    An operator of ONNX Runtime's own is written ``com.microsoft::FusedMatMul``; an optional input that is left out,
    as in ONNX itself, is the empty name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._shared: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._taken: set[str] = set()

    def input(self, name: str, dtype: npt.DTypeLike, shape: Sequence[Dimension]) -> str:
        """Declare an input of the graph."""
        self._inputs.append(_value_info(name, dtype, shape))
        self._taken.add(name)
        return name

    def optional_input(self, name: str, default: npt.NDArray[np.generic]) -> str:
        """Declare an input of the graph that is ``default`` where callers leave it out; of its type and shape."""
        self._initializers.append(numpy_helper.from_array(default, name))
        return self.input(name, default.dtype, default.shape)

    def output(self, name: str, value: str, dtype: npt.DTypeLike, shape: Sequence[Dimension]) -> None:
        """Declare ``value`` an output of the graph, under the name that callers fetch it by."""
        self._taken.add(name)
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(_value_info(name, dtype, shape))

    def constant(self, array: npt.ArrayLike, hint: str) -> str:
        """A constant; small equal ones are stored once. ``hint`` makes its name readable."""
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 16 else None
        if key is not None and key in self._shared:
            return self._shared[key]
        name = self._unique(hint)
        self._initializers.append(numpy_helper.from_array(array, name))
        if key is not None:
            self._shared[key] = name
        return name

    @overload
    def add(self, op: str, *inputs: str, outputs: Literal[1] = 1, **attributes: Any) -> str: ...

    @overload
    def add(self, op: str, *inputs: str, outputs: int, **attributes: Any) -> tuple[str, ...]: ...

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str | tuple[str, ...]:
        """Add a node; the name of its output, or a tuple of ``outputs`` names if it has several."""
        domain, _, op_type = op.rpartition("::")
        names = tuple(self._unique(op_type) for _ in range(outputs))
        self._nodes.append(helper.make_node(op_type, inputs, names, name=names[0], domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def build(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """The checked, serialised model. ``metadata`` goes into its ``metadata_props``."""
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._initializers)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="manyheads")
        helper.set_model_props(model, dict(metadata or {}))
        onnx.checker.check_model(model)
        serialised: bytes = model.SerializeToString()
        return serialised

    def _unique(self, hint: str) -> str:
        name, number = hint, 1
        while name in self._taken:
            number += 1
            name = f"{hint}_{number}"
        self._taken.add(name)
        return name


def _value_info(name: str, dtype: npt.DTypeLike, shape: Sequence[Dimension]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
