"""Training a head: labelled embeddings in, one file out. numpy and onnx are all it needs.

``examples`` checks what is given; ``intents`` and ``tagger`` train the two parts, ``crf`` and ``layers`` are their
mathematics, ``optimiser`` moves their parameters; ``calibration`` makes confidences honest; ``scoring`` measures;
``fit`` puts it together.
"""

from manyheads.head_worker.training.examples import EntityExample, LabelledEmbedding
from manyheads.head_worker.training.fit import TrainedHead, TrainingOptions, TrainingReport, fit_head
from manyheads.head_worker.training.scoring import Scores, evaluate

__all__ = [
    "EntityExample",
    "LabelledEmbedding",
    "Scores",
    "TrainedHead",
    "TrainingOptions",
    "TrainingReport",
    "evaluate",
    "fit_head",
]
