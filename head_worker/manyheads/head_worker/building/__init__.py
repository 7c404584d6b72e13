"""Heads as files: weights in, one ONNX graph out. Needs the onnx package; serving does not."""

from manyheads.head_worker.building.article import ARTICLE_VIEW, article_head
from manyheads.head_worker.building.graph import Arithmetic, build_head
from manyheads.head_worker.building.weights import Dense, HeadWeights, IntentWeights, TaggerWeights

__all__ = [
    "ARTICLE_VIEW",
    "Arithmetic",
    "Dense",
    "HeadWeights",
    "IntentWeights",
    "TaggerWeights",
    "article_head",
    "build_head",
]
