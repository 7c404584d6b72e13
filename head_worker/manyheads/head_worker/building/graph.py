"""Writes a head as an ONNX graph, in int8 row by row or in float32.

An int8 head takes several texts in one run, of as many rows each, so that nothing is padded: what a text is told is
the same, bit by bit, however many are asked with it. In float32 a product depends on how many rows it has, so such a
head takes one text a run.
"""

from enum import StrEnum

import numpy as np
from onnx import TensorProto, numpy_helper

from manyheads.head_worker.building.weights import Dense, Floats, HeadWeights, IntentWeights, TaggerWeights
from manyheads.head_worker.card import HeadCard
from manyheads.head_worker.head import INTENTS, ROWS, SHAPES, TAGS, TEXTS
from manyheads.infra.onnx.graph import GraphBuilder
from manyheads.infra.onnx.linear import float_linear, per_token_linear


class Arithmetic(StrEnum):
    """What the head's matrix products are in."""

    INT8 = "int8"
    FLOAT32 = "float32"


def build_head(weights: HeadWeights, card: HeadCard, arithmetic: Arithmetic = Arithmetic.INT8) -> bytes:
    """The file of a head that :class:`manyheads.head_worker.head.Head` loads.

    The sizes of ``weights`` must be those of the card's width and labels.
    """
    writer = HeadWriter(card, arithmetic)
    writer.intents(_intents(writer, weights.intent))
    if weights.tagger is not None:
        writer.tags(_tags(writer, weights.tagger))
    return writer.build()


class HeadWriter:
    """The parts that all heads have: inputs, outputs, products, the card."""

    def __init__(self, card: HeadCard, arithmetic: Arithmetic) -> None:
        self.graph = GraphBuilder("head")
        self.rows = self.graph.input(ROWS, np.float32, ["rows", card.width])
        self.width = card.width
        self._card = card
        self._int8 = arithmetic is Arithmetic.INT8
        one = np.array([1], np.int64)
        self._texts = self.graph.optional_input(TEXTS, one) if self._int8 else self.graph.constant(one, TEXTS)

    def linear(self, x: str, dense: Dense, hint: str, lower_bound: float | None = None) -> str:
        """``dense`` applied to the rows of ``x``; ``lower_bound`` as in :func:`per_token_linear`."""
        if self._int8:
            return per_token_linear(self.graph, x, dense.weight, dense.bias, lower_bound=lower_bound, hint=hint)
        return float_linear(self.graph, x, dense.weight, dense.bias, hint)

    def by_text(self, x: str, *sizes: int) -> str:
        """The rows of ``x``, apart by text: [texts, rows of one, *sizes]."""
        return self.graph.add("Reshape", x, self.graph.add("Concat", self._texts, self.sizes(-1, *sizes), axis=0))

    def mean(self, x: str, width: int) -> str:
        """The mean of each text's rows [texts, width]."""
        rows = self.by_text(x, width)
        count = self.graph.add("Shape", rows, start=1, end=2)
        # A product with ones: ReduceMean adds in another order where there is one text.
        shape = self.graph.add("Concat", self.sizes(1), count, axis=0)
        ones = self.graph.add("ConstantOfShape", shape, value=numpy_helper.from_array(np.ones(1, np.float32)))
        total = self.graph.add("Reshape", self.graph.add("MatMul", ones, rows), self.sizes(-1, width))
        return self.graph.add("Div", total, self.graph.add("Cast", count, to=TensorProto.FLOAT))

    def sizes(self, *sizes: int) -> str:
        return self.graph.constant(np.array(sizes, np.int64), "sizes")

    def shape_rows(self, table: Floats) -> str:
        """What the table [32, width] has for each row's word shape."""
        shapes = self.graph.input(SHAPES, np.uint8, ["rows"])
        places = self.graph.add("Cast", shapes, to=TensorProto.INT32)
        return self.graph.add("Gather", self.graph.constant(table, "shapes.table"), places)

    def intents(self, logits: str) -> None:
        self.graph.output(INTENTS, logits, np.float32, ["texts", len(self._card.intents)])

    def tags(self, scores: str) -> None:
        assert self._card.tagger is not None, "a head with tags has a tagger in its card"
        self.graph.output(TAGS, scores, np.float32, ["rows", len(self._card.tagger.tags)])

    def build(self) -> bytes:
        return self.graph.build(self._card.to_metadata())


def _intents(writer: HeadWriter, weights: IntentWeights) -> str:
    x = writer.mean(writer.rows, writer.width)
    if weights.hidden is None:
        return writer.linear(x, weights.output, "intent")
    hidden = writer.graph.add("Relu", writer.linear(x, weights.hidden, "intent.hidden"))
    return writer.linear(hidden, weights.output, "intent", lower_bound=0.0)


def _tags(writer: HeadWriter, weights: TaggerWeights) -> str:
    graph = writer.graph
    projected = graph.add(
        "Relu",
        graph.add("Add", writer.linear(writer.rows, weights.project, "project"), writer.shape_rows(weights.shapes)),
    )
    by_text = writer.by_text(projected, weights.project.weight.shape[1])
    reach = weights.neighbours // 2
    padded = graph.add("Pad", by_text, writer.sizes(0, reach, 0, 0, reach, 0))
    rows = graph.add("Shape", by_text, start=1, end=2)
    shifted = [
        graph.add("Slice", padded, writer.sizes(offset), graph.add("Add", rows, writer.sizes(offset)), writer.sizes(1))
        for offset in range(weights.neighbours)
    ]
    together = graph.add("Concat", *shifted, axis=2)
    flat = graph.add("Reshape", together, writer.sizes(-1, weights.window.weight.shape[0]))
    window = writer.linear(flat, weights.window, "window", lower_bound=0.0)
    return writer.linear(graph.add("Relu", window), weights.output, "tags", lower_bound=0.0)
