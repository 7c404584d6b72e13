"""Writes a BERT encoder as an ONNX graph in the flat layout, in float32 or in int8 token by token."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from onnx import TensorProto

from manyheads.encoder_worker import graph_io
from manyheads.encoder_worker.bert import BertWeights, Floats
from manyheads.encoder_worker.graph_io import EncoderCard
from manyheads.encoder_worker.probe import Probe
from manyheads.infra.onnx.graph import GraphBuilder
from manyheads.infra.onnx.linear import float_linear, per_token_linear, quantised_columns

_GELU_MINIMUM = -0.17  # of x * Phi(x), at x = -0.7518


class Arithmetic(StrEnum):
    """What the encoder's matrix products, and its table of embeddings, are in."""

    INT8 = "int8"
    FLOAT32 = "float32"


def float32_graph(weights: BertWeights, card: EncoderCard, *, observed: bool = False) -> bytes:
    """The serialised model: inputs and outputs as :mod:`manyheads.encoder_worker.graph_io` says.

    ``observed`` adds an output :func:`input_of` for each product that :func:`smoothed_products` names.
    """
    return _Writer(weights, card, Arithmetic.FLOAT32, {}, observed).write()


def int8_graph(weights: BertWeights, card: EncoderCard, smoothing: Mapping[str, Floats], probe: Probe) -> bytes:
    """The same in int8.

    Args:
        weights: the encoder's.
        card: goes into the metadata.
        smoothing: by product, what each input channel [in] is divided by before it is quantised, and its weights
            multiplied by.
        probe: goes into the metadata.
    """
    return _Writer(weights, card, Arithmetic.INT8, smoothing, observed=False).write(probe.to_metadata())


def smoothed_products(weights: BertWeights) -> dict[str, Floats]:
    """The products behind a layer norm, with their weights [in, out].

    A few channels of a layer norm's output are far larger than the others and would take all of a row's levels.
    """
    products = {}
    for layer in range(weights.shape.layers):
        name = f"encoder.layer.{layer}"
        products[f"{name}.qkv"] = _query_key_value(weights, name)[0]
        products[f"{name}.in"] = weights.linear(f"{name}.intermediate.dense")[0]
    return products


def input_of(product: str) -> str:
    """The output of an observed graph with what goes into ``product``, float32 [tokens, in]."""
    return f"into.{product}"


class _Writer:
    def __init__(
        self,
        weights: BertWeights,
        card: EncoderCard,
        arithmetic: Arithmetic,
        smoothing: Mapping[str, Floats],
        observed: bool,
    ) -> None:
        self._weights = weights
        self._shape = weights.shape
        self._card = card
        self._int8 = arithmetic is Arithmetic.INT8
        self._smoothing = smoothing
        self._observed = smoothed_products(weights).keys() if observed else frozenset()
        self._graph = GraphBuilder("encoder")

    def write(self, metadata: Mapping[str, str] = MappingProxyType({})) -> bytes:
        graph = self._graph
        x = self._embeddings(
            graph.input(graph_io.IDS, np.int64, ["tokens"]), graph.input(graph_io.POSITIONS, np.int64, ["tokens"])
        )
        padded = graph.input(graph_io.PADDED, np.int64, ["texts", "length"])
        unpadded = graph.input(graph_io.UNPADDED, np.int64, ["tokens"])
        mask = graph.input(graph_io.MASK, np.float32, ["texts", 1, 1, "length"])

        def attend(qkv: str) -> str:
            return self._attention(qkv, padded, unpadded, mask)

        for layer in range(1, self._card.output_layers[-1] + 1):
            x = self._layer(f"encoder.layer.{layer - 1}", x, attend)
            if layer in self._card.output_layers:
                graph.output(graph_io.layer_output(layer), x, np.float32, ["tokens", self._shape.width])
        return graph.build({**self._card.to_metadata(), **metadata})

    def _embeddings(self, ids: str, positions: str) -> str:
        arrays, graph = self._weights.arrays, self._graph
        words = self._table(arrays["embeddings.word_embeddings.weight"], ids)
        # One text a row: every token is of the first type.
        places = arrays["embeddings.position_embeddings.weight"] + arrays["embeddings.token_type_embeddings.weight"][:1]
        places = places[: self._card.max_tokens]
        place = graph.add("Gather", graph.constant(places, "positions"), positions)
        return self._norm("embeddings.LayerNorm", graph.add("Add", words, place))

    def _table(self, table: Floats, rows: str) -> str:
        graph = self._graph
        if not self._int8:
            return graph.add("Gather", graph.constant(table, "words"), rows)
        quantised, scales = quantised_columns(table.T)
        row = graph.add("Gather", graph.constant(np.ascontiguousarray(quantised.T), "words"), rows)
        scale = graph.add("Gather", graph.constant(scales[:, None], "words.scale"), rows)
        return graph.add("Mul", graph.add("Cast", row, to=TensorProto.FLOAT), scale)

    def _layer(self, name: str, x: str, attend: Callable[[str], str]) -> str:
        graph, weights = self._graph, self._weights
        context = attend(self._linear(x, *_query_key_value(weights, name), f"{name}.qkv"))
        attended = self._linear(context, *weights.linear(f"{name}.attention.output.dense"), f"{name}.attention")
        x = self._norm(f"{name}.attention.output.LayerNorm", graph.add("Add", attended, x))
        weight, bias = weights.linear(f"{name}.intermediate.dense")
        inner = graph.add(
            "com.microsoft::BiasGelu", self._linear(x, weight, None, f"{name}.in"), graph.constant(bias, f"{name}.bias")
        )
        outer = self._linear(inner, *weights.linear(f"{name}.output.dense"), f"{name}.out", _GELU_MINIMUM)
        return self._norm(f"{name}.output.LayerNorm", graph.add("Add", outer, x))

    def _attention(self, qkv: str, padded: str, unpadded: str, mask: str) -> str:
        """[tokens, 3 x width] to [tokens, width]. What is behind a text's end has weight zero, exactly."""
        graph, heads, width = self._graph, self._shape.heads, self._shape.width
        split = graph.add("Reshape", qkv, self._sizes(-1, 3, heads, self._shape.head_width))
        by_head = graph.add("Transpose", graph.add("Gather", split, padded), perm=[2, 0, 3, 1, 4])
        query, key, value = (
            graph.add("Squeeze", part, self._sizes(0))
            for part in graph.add("Split", by_head, outputs=3, axis=0, num_outputs=3)
        )
        scores = graph.add("Add", graph.add("com.microsoft::FusedMatMul", query, key, transB=1), mask)
        context = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
        rows = graph.add("Reshape", graph.add("Transpose", context, perm=[0, 2, 1, 3]), self._sizes(-1, width))
        return graph.add("Gather", rows, unpadded)

    def _linear(self, x: str, weight: Floats, bias: Floats | None, hint: str, lower_bound: float | None = None) -> str:
        if hint in self._observed:
            self._graph.output(input_of(hint), x, np.float32, ["tokens", len(weight)])
        if hint in self._smoothing:
            divisors = self._smoothing[hint]
            x = self._graph.add("Mul", x, self._graph.constant(1 / divisors, f"{hint}.smoothing"))
            weight = weight * divisors[:, None]
        if self._int8:
            return per_token_linear(self._graph, x, weight, bias, lower_bound=lower_bound, hint=hint)
        return float_linear(self._graph, x, weight, bias, hint)

    def _norm(self, name: str, x: str) -> str:
        scale, shift = self._weights.norm(name)
        graph = self._graph
        return graph.add(
            "LayerNormalization",
            x,
            graph.constant(scale, f"{name}.scale"),
            graph.constant(shift, f"{name}.shift"),
            axis=-1,
            epsilon=self._shape.epsilon,
        )

    def _sizes(self, *sizes: int) -> str:
        return self._graph.constant(np.array(sizes, np.int64), "sizes")


def _query_key_value(weights: BertWeights, layer: str) -> tuple[Floats, Floats]:
    """One product instead of three; the queries already divided by the root of the head's width."""
    parts = [weights.linear(f"{layer}.attention.self.{part}") for part in ("query", "key", "value")]
    root = np.float32(np.sqrt(weights.shape.head_width))
    parts[0] = (parts[0][0] / root, parts[0][1] / root)
    return np.concatenate([w for w, _ in parts], axis=1), np.concatenate([b for _, b in parts])
