"""Trains the part of a head that names intents, from the mean row of each text."""

from dataclasses import dataclass

import numpy as np

from manyheads.head_worker.building import Dense, IntentWeights
from manyheads.head_worker.tags import Floats
from manyheads.head_worker.training.calibration import softmax
from manyheads.head_worker.training.examples import Integers, shuffled_batches
from manyheads.head_worker.training.layers import Dropout, Standardiser, initial
from manyheads.head_worker.training.optimiser import Adam, Parameters

_RATE, _DECAY = 1e-3, 0.1
_INPUT_DROPOUT, _HIDDEN_DROPOUT = 0.5, 0.5
_SMOOTHING = 0.1
_MAX_STEPS = 1_500


@dataclass(frozen=True, slots=True)
class IntentPlan:
    """How intents are learned."""

    classes: int
    hidden: int
    """width of the hidden layer; 0 is logistic regression, which is better with few examples of each intent"""


def train_intents(means: Floats, intents: Integers, plan: IntentPlan, generator: np.random.Generator) -> IntentWeights:
    """Weights that tell the intents apart.

    Args:
        means: the mean row of each text [texts, width].
        intents: of each text [texts].
        plan: what to train.
        generator: everything random comes from it.
    """
    standardiser = Standardiser.of(means)
    rows = standardiser(means)
    size, epochs = (16, 30) if len(rows) < 500 else (64, 15)
    steps = min(epochs * -(-len(rows) // size), _MAX_STEPS)
    network = _Network(rows.shape[1], plan, generator)
    optimiser = Adam(network.parameters, steps, _RATE, _DECAY)
    for _, batch in zip(range(steps), shuffled_batches(len(rows), size, generator), strict=False):
        optimiser.step(network.gradients(rows[batch], intents[batch]))
    return network.weights(standardiser)


def intent_logits(means: Floats, weights: IntentWeights) -> Floats:
    """What the trained weights say of mean rows [texts, width]: logits [texts, intents]."""
    x = means if weights.hidden is None else np.maximum(means @ weights.hidden.weight + weights.hidden.bias, 0)
    logits: Floats = x @ weights.output.weight + weights.output.bias
    return logits


class _Network:
    """Softmax over intents behind at most one hidden layer, trained against smoothed labels."""

    def __init__(self, width: int, plan: IntentPlan, generator: np.random.Generator) -> None:
        self._classes = plan.classes
        self._dropout = Dropout(generator)
        self.parameters: Parameters = {}
        if plan.hidden:
            self.parameters["hidden.weight"] = initial(generator, width, plan.hidden)
            self.parameters["hidden.bias"] = np.zeros(plan.hidden, np.float32)
        # Small, so that training begins with all intents about equally likely.
        self.parameters["output.weight"] = initial(generator, plan.hidden or width, plan.classes, gain=0.1)
        self.parameters["output.bias"] = np.zeros(plan.classes, np.float32)

    def gradients(self, rows: Floats, intents: Integers) -> Parameters:
        own = self.parameters
        rows = rows * self._dropout.mask(rows.shape, _INPUT_DROPOUT)
        hidden = rows
        if "hidden.weight" in own:
            active = np.maximum(rows @ own["hidden.weight"] + own["hidden.bias"], 0)
            mask = self._dropout.mask(active.shape, _HIDDEN_DROPOUT)
            hidden = active * mask
        error = softmax(hidden @ own["output.weight"] + own["output.bias"])
        error -= np.float32(_SMOOTHING / self._classes)
        error[np.arange(len(rows)), intents] -= np.float32(1 - _SMOOTHING)
        error /= len(rows)
        found = {"output.weight": hidden.T @ error, "output.bias": error.sum(axis=0)}
        if "hidden.weight" in own:
            back = (error @ own["output.weight"].T) * mask * (active > 0)
            found |= {"hidden.weight": rows.T @ back, "hidden.bias": back.sum(axis=0)}
        return found

    def weights(self, standardiser: Standardiser) -> IntentWeights:
        own = self.parameters
        if "hidden.weight" not in own:
            return IntentWeights(None, standardiser.into(own["output.weight"], own["output.bias"]))
        hidden = standardiser.into(own["hidden.weight"], own["hidden.bias"])
        return IntentWeights(hidden, Dense(own["output.weight"], own["output.bias"]))
