"""A head of the size that the article behind this project describes, with random weights: for benchmarks alone.

One transformer layer, 768 wide, then intents and tags: 9.0 million parameters. It answers nonsense at the right cost.
"""

from collections.abc import Callable

import numpy as np

from manyheads.head_worker.building.graph import Arithmetic, HeadWriter
from manyheads.head_worker.building.weights import Dense
from manyheads.head_worker.card import HeadCard, TaggerCard
from manyheads.head_worker.tags import OUTSIDE, TagSet
from manyheads.topics.names import SpaceName
from manyheads.topics.views import View

ARTICLE_VIEW = View.parse("tokens:6")

_WIDTH, _ATTENTION_HEADS, _INNER = 768, 12, 3072
_HIDDEN = 1_152
_INTENTS, _LABELS = 64, 20
_GELU_MINIMUM = -0.17

Layer = Callable[[int, int], Dense]


def article_head(seed: int, space: SpaceName, view: View = ARTICLE_VIEW, width: int = _WIDTH) -> bytes:
    """The file of an article-size head: int8, about 9.1 MB, weights drawn from ``seed``.

    Args:
        seed: another one gives another head of the same size.
        space: the embedding space that it claims to read.
        view: one with a row a token or a word.
        width: of a row of that view.
    """
    generator = np.random.default_rng(seed)

    def dense(inner: int, outer: int) -> Dense:
        weight = generator.standard_normal((inner, outer), np.float32) / np.float32(np.sqrt(inner))
        return Dense(weight, np.zeros(outer, np.float32))

    tags = TagSet(_LABELS)
    card = HeadCard(
        space=space,
        view=view,
        width=width,
        intents=tuple(f"intent-{i}" for i in range(_INTENTS)),
        tagger=TaggerCard(
            labels=tuple(f"entity-{i}" for i in range(_LABELS)),
            temperature=1.0,
            starts=(0.0,) * len(tags),
            transitions=((0.0,) * len(tags),) * len(tags),
        ),
    )
    writer = HeadWriter(card, Arithmetic.INT8)
    x = writer.rows if width == _WIDTH else writer.linear(writer.rows, dense(width, _WIDTH), "input")
    shapes = generator.standard_normal((32, _WIDTH), np.float32) * np.float32(0.02)
    x = writer.graph.add("Add", x, writer.shape_rows(shapes))
    x = _transformer_layer(writer, x, dense)
    for hint, source, outputs, declare in (
        ("intent", writer.mean(x, _WIDTH), _INTENTS, writer.intents),
        ("tags", x, len(tags), writer.tags),
    ):
        hidden = writer.graph.add("Relu", writer.linear(source, dense(_WIDTH, _HIDDEN), f"{hint}.hidden"))
        declare(writer.linear(hidden, _output(dense(_HIDDEN, outputs), hint), hint, lower_bound=0.0))
    return writer.build()


def _output(dense: Dense, hint: str) -> Dense:
    if hint == "tags":
        # As in real texts most rows are in no entity: decoding random ones would cost more than it does in use.
        dense.bias[OUTSIDE] = 4.0
    return dense


def _transformer_layer(writer: HeadWriter, x: str, dense: Layer) -> str:
    graph = writer.graph
    attended = writer.linear(
        _attention(writer, writer.linear(x, dense(_WIDTH, 3 * _WIDTH), "qkv")), dense(_WIDTH, _WIDTH), "attention"
    )
    x = _norm(writer, graph.add("Add", attended, x))
    inner = graph.add("Gelu", writer.linear(x, dense(_WIDTH, _INNER), "inner"))
    outer = writer.linear(inner, dense(_INNER, _WIDTH), "outer", lower_bound=_GELU_MINIMUM)
    return _norm(writer, graph.add("Add", outer, x))


def _attention(writer: HeadWriter, qkv: str) -> str:
    """[texts x rows, 3 x width] to [texts x rows, width]: all texts have as many rows, so nothing is masked."""
    graph, head_width = writer.graph, _WIDTH // _ATTENTION_HEADS
    split = writer.by_text(qkv, 3, _ATTENTION_HEADS, head_width)
    by_head = graph.add("Transpose", split, perm=[2, 0, 3, 1, 4])
    query, key, value = (
        graph.add("Squeeze", part, writer.sizes(0))
        for part in graph.add("Split", by_head, outputs=3, axis=0, num_outputs=3)
    )
    scores = graph.add("com.microsoft::FusedMatMul", query, key, transB=1, alpha=float(1 / np.sqrt(head_width)))
    context = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
    return graph.add("Reshape", graph.add("Transpose", context, perm=[0, 2, 1, 3]), writer.sizes(-1, _WIDTH))


def _norm(writer: HeadWriter, x: str) -> str:
    scale = writer.graph.constant(np.ones(_WIDTH, np.float32), "norm.scale")
    shift = writer.graph.constant(np.zeros(_WIDTH, np.float32), "norm.shift")
    return writer.graph.add("LayerNormalization", x, scale, shift, axis=-1)
