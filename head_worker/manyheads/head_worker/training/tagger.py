"""Trains the part of a head that finds entities: a window over projected rows under a conditional random field."""

from dataclasses import dataclass

import numpy as np

from manyheads.head_worker.building import Dense, TaggerWeights
from manyheads.head_worker.tags import Floats, TagSet
from manyheads.head_worker.training.crf import crf_gradients
from manyheads.head_worker.training.examples import Integers, TrainingSet, shuffled_batches
from manyheads.head_worker.training.layers import Dropout, Standardiser, Window, initial
from manyheads.head_worker.training.optimiser import Adam, Parameters

_DECAY = 0.02
_INPUT_DROPOUT, _HIDDEN_DROPOUT = 0.1, 0.3
_NEIGHBOURS = 5
_SHAPES = 32
_STATISTICS = 2_000
"""Texts whose rows the inputs are standardised by."""


@dataclass(frozen=True, slots=True)
class TaggerPlan:
    """How entities are learned."""

    channels: int
    """width of both layers"""
    batch: int
    """texts of a step"""
    epochs: int
    rate: float
    """of the first step"""

    @classmethod
    def for_examples(cls, count: int) -> "TaggerPlan":
        """A plan that suits the number of texts: small ones are seen more often, by a smaller network."""
        if count < 1_000:
            return cls(channels=128, batch=16, epochs=16, rate=2e-3)
        return cls(channels=256, batch=64, epochs=10 if count < 5_000 else 6, rate=1e-3)


@dataclass(frozen=True, slots=True)
class Tagger:
    """A trained tagger: what scores rows, and what scores transitions."""

    weights: TaggerWeights
    starts: Floats
    """[tags]"""
    transitions: Floats
    """[from, to]"""

    def scores(self, rows: Floats, shapes: Integers, lengths: Integers) -> Floats:
        """Scores of tags [rows, tags] for the rows of texts one after another."""
        weights = self.weights
        projected = np.maximum(rows @ weights.project.weight + weights.project.bias + weights.shapes[shapes], 0)
        window = Window(lengths, weights.neighbours).gather(projected)
        hidden = np.maximum(window @ weights.window.weight + weights.window.bias, 0)
        scores: Floats = hidden @ weights.output.weight + weights.output.bias
        return scores


def train_tagger(data: TrainingSet, examples: Integers, plan: TaggerPlan, generator: np.random.Generator) -> Tagger:
    """A tagger of the entities of some examples of a training set; everything random comes from ``generator``."""
    sample = generator.permutation(examples)[:_STATISTICS]
    standardiser = Standardiser.of(data.rows(sample))
    network = _Network(data.width, plan.channels, data.tags, generator)
    steps = plan.epochs * -(-len(examples) // plan.batch)
    optimiser = Adam(network.parameters, steps, plan.rate, _DECAY)
    for _, places in zip(range(steps), shuffled_batches(len(examples), plan.batch, generator), strict=False):
        batch = examples[places]
        optimiser.step(
            network.gradients(
                standardiser(data.rows(batch)), data.shapes(batch), data.tags_of(batch), data.lengths[batch]
            )
        )
    return network.tagger(standardiser)


class _Network:
    def __init__(self, width: int, channels: int, tags: TagSet, generator: np.random.Generator) -> None:
        count = len(tags)
        self._dropout = Dropout(generator)
        self._starts = tags.starts()
        self._transitions = tags.transitions()
        self.parameters: Parameters = {
            "project.weight": initial(generator, width, channels),
            "project.bias": np.zeros(channels, np.float32),
            "shapes": np.zeros((_SHAPES, channels), np.float32),
            "window.weight": initial(generator, _NEIGHBOURS * channels, channels),
            "window.bias": np.zeros(channels, np.float32),
            "output.weight": initial(generator, channels, count, gain=0.5),
            "output.bias": np.zeros(count, np.float32),
            "starts": np.zeros(count, np.float32),
            "transitions": np.zeros((count, count), np.float32),
        }

    def gradients(self, rows: Floats, shapes: Integers, tags: Integers, lengths: Integers) -> Parameters:
        """Of the negative log likelihood of a mean text."""
        own = self.parameters
        window = Window(lengths, _NEIGHBOURS)
        rows = rows * self._dropout.mask(rows.shape, _INPUT_DROPOUT)
        projected = np.maximum(rows @ own["project.weight"] + own["project.bias"] + own["shapes"][shapes], 0)
        projected_mask = self._dropout.mask(projected.shape, _HIDDEN_DROPOUT)
        seen = window.gather(projected * projected_mask)
        hidden = np.maximum(seen @ own["window.weight"] + own["window.bias"], 0)
        hidden_mask = self._dropout.mask(hidden.shape, _HIDDEN_DROPOUT)
        kept = hidden * hidden_mask
        scores = kept @ own["output.weight"] + own["output.bias"]

        crf = crf_gradients(scores, tags, lengths, own["transitions"] + self._transitions, own["starts"] + self._starts)
        texts = np.float32(len(lengths))
        error = crf.scores / texts
        found = {
            "transitions": crf.transitions / texts,
            "starts": crf.starts / texts,
            "output.weight": kept.T @ error,
            "output.bias": error.sum(axis=0),
        }
        back = (error @ own["output.weight"].T) * hidden_mask * (hidden > 0)
        found |= {"window.weight": seen.T @ back, "window.bias": back.sum(axis=0)}
        back = window.scatter(back @ own["window.weight"].T) * projected_mask * (projected > 0)
        by_shape = np.zeros_like(own["shapes"])
        np.add.at(by_shape, shapes, back)
        return found | {"project.weight": rows.T @ back, "project.bias": back.sum(axis=0), "shapes": by_shape}

    def tagger(self, standardiser: Standardiser) -> Tagger:
        own = self.parameters
        weights = TaggerWeights(
            project=standardiser.into(own["project.weight"], own["project.bias"]),
            shapes=own["shapes"],
            window=Dense(own["window.weight"], own["window.bias"]),
            output=Dense(own["output.weight"], own["output.bias"]),
        )
        return Tagger(weights, own["starts"], own["transitions"])
