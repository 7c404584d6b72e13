"""Text to embeddings: the shared encoder of a ring, the worker around it, and how one is built.

``python -m manyheads.encoder_worker --help`` lists the worker's settings; :mod:`manyheads.encoder_worker.build`
builds an encoder.
"""

from manyheads.encoder_worker.model import EncoderModel, EncoderOptions, TextItem
from manyheads.encoder_worker.stage import EncoderStage

__all__ = ["EncoderModel", "EncoderOptions", "EncoderStage", "TextItem"]
