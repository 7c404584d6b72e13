"""A head over embeddings of the past: what it says of them, against what was answered then.

``comparison`` counts, pure; ``answering`` runs the head; ``matching`` finds the reply that belongs to an embedding.
"""

from manyheads.head_worker.replay.answering import Answering, Past, Unread
from manyheads.head_worker.replay.comparison import Comparison, ComparisonReport, Place, Said
from manyheads.head_worker.replay.matching import Coverage, Matching

__all__ = [
    "Answering",
    "Comparison",
    "ComparisonReport",
    "Coverage",
    "Matching",
    "Past",
    "Place",
    "Said",
    "Unread",
]
