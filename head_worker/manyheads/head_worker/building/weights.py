"""The weights of a trained head, float32."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Dense:
    """``x @ weight + bias``: weight [in, out], bias [out]."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class IntentWeights:
    """From the mean of a text's rows to its intents' logits: through one hidden layer with ReLU, or directly."""

    hidden: Dense | None
    output: Dense


@dataclass(frozen=True, slots=True)
class TaggerWeights:
    """From rows to scores of tags.

    Each row is projected, its word shape added; each projected row is read together with its neighbours; ReLU after
    both.
    """

    project: Dense
    """[width, channels]"""
    shapes: Floats
    """[32, channels]: added for each word shape"""
    window: Dense
    """[neighbours x channels, hidden]: an odd number of neighbours, the row itself in the middle"""
    output: Dense
    """[hidden, tags]"""

    @property
    def neighbours(self) -> int:
        return int(self.window.weight.shape[0] // self.project.weight.shape[1])


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """A whole head; without a tagger it knows no entities."""

    intent: IntentWeights
    tagger: TaggerWeights | None = None
