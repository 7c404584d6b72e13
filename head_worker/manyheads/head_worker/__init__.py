"""Embeddings to predictions: the heads of a cell's tenants, the worker around them, and how one is trained.

``python -m manyheads.head_worker --help`` lists the worker's settings; :mod:`manyheads.head_worker.training` trains
a head; :mod:`manyheads.head_worker.building` writes one as a file.
"""

from manyheads.head_worker.head import Head, HeadOutput
from manyheads.head_worker.stage import HeadStage, HeadStageOptions

__all__ = ["Head", "HeadOutput", "HeadStage", "HeadStageOptions"]
