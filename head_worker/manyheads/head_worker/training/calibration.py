"""Confidences that mean what they say: temperatures fitted on held-out answers, and how far off they are."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from manyheads.head_worker.tags import Floats

Bools = npt.NDArray[np.bool_]

_TEMPERATURES = np.geomspace(0.1, 10.0, 81)
_COARSE = np.geomspace(0.25, 4.0, 13)
_BINS = 10
_SURE = 1e-6


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Confidences [examples, classes] of logits divided by ``temperature``."""
    scaled = (logits - logits.max(axis=1, keepdims=True)) / np.float32(temperature)
    weights = np.exp(scaled)
    confidences: Floats = weights / weights.sum(axis=1, keepdims=True)
    return confidences


def fit_temperature(logits: Floats, labels: npt.NDArray[np.int64]) -> float:
    """The temperature at which held-out labels are most likely."""

    def loss(temperature: float) -> float:
        right = softmax(logits, temperature)[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(right, _SURE)).mean())

    return float(min(_TEMPERATURES, key=loss))


def fit_span_temperature(confidences: Callable[[float], Sequence[float]], correct: Bools) -> float:
    """The temperature at which the confidences of held-out spans best tell the correct ones from the others.

    Args:
        confidences: of all spans at a temperature.
        correct: which of them are correct.
    """
    if len(correct) == 0:
        return 1.0

    def loss(temperature: float) -> float:
        sure = np.clip(np.asarray(confidences(temperature)), _SURE, 1 - _SURE)
        return float(-np.where(correct, np.log(sure), np.log(1 - sure)).mean())

    return float(min(_COARSE, key=loss))


def expected_calibration_error(confidences: Sequence[float] | Floats, correct: Sequence[bool] | Bools) -> float:
    """Mean distance, over ten bins of confidence, between how sure the answers were and how many were correct."""
    sure, right = np.asarray(confidences, np.float64), np.asarray(correct, np.float64)
    if len(sure) == 0:
        return 0.0
    bins = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=sure - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(sure))
