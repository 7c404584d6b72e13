"""Pieces of small networks: initial weights, standardised inputs, dropout, a window over neighbouring rows."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from manyheads.head_worker.building import Dense
from manyheads.head_worker.tags import Floats

Integers = npt.NDArray[np.int64]

_LEAST_DEVIATION = np.float32(0.1)
"""Of a feature, as a share of the mean one. In int8 some features never change; scaled up without bound, their
weights would take all the levels of an int8 column."""
_TINY = np.float32(1e-12)


def initial(generator: np.random.Generator, inner: int, outer: int, gain: float = 2.0) -> Floats:
    """A weight [inner, outer] of variance ``gain / inner``; 2 keeps the variance through ReLU."""
    scale = np.float32(np.sqrt(gain / inner))
    return generator.standard_normal((inner, outer), np.float32) * scale


@dataclass(frozen=True, slots=True)
class Standardiser:
    """Brings each feature to mean 0 and deviation 1; the layer behind it can take it over."""

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, rows: Floats) -> Self:
        deviation = rows.std(axis=0)
        return cls(rows.mean(axis=0), np.maximum(deviation, _LEAST_DEVIATION * deviation.mean()) + _TINY)

    def __call__(self, rows: Floats) -> Floats:
        standard: Floats = (rows - self.mean) / self.deviation
        return standard

    def into(self, weight: Floats, bias: Floats) -> Dense:
        """The layer that does to raw rows what this one does to standardised ones."""
        raw = weight / self.deviation[:, None]
        return Dense(raw, bias - self.mean @ raw)


class Dropout:
    """Sets a share of values to zero and scales up the others."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def mask(self, shape: tuple[int, ...], share: float) -> Floats:
        """Factors of 0 or ``1 / (1 - share)``; the share is rounded to 1/256."""
        cut = round(share * 256)
        kept = self._generator.integers(0, 256, shape, np.uint8) >= cut
        return kept.astype(np.float32) * np.float32(256 / (256 - cut))


class Window:
    """Each row beside its neighbours, within its own text.

    Args:
        lengths: rows of each text; the texts lie one after another.
        neighbours: how many rows a window has, an odd number; behind a text's ends they are zero.
    """

    def __init__(self, lengths: Integers, neighbours: int) -> None:
        reach = neighbours // 2
        gaps = np.repeat(np.arange(1, len(lengths) + 1) * reach, lengths)
        self._places = np.arange(int(lengths.sum())) + gaps
        self._padded = int(lengths.sum()) + (len(lengths) + 1) * reach
        self._offsets = range(-reach, reach + 1)

    def gather(self, rows: Floats) -> Floats:
        """[rows, channels] to [rows, neighbours x channels]."""
        padded = np.zeros((self._padded, rows.shape[1]), np.float32)
        padded[self._places] = rows
        return np.concatenate([padded[self._places + offset] for offset in self._offsets], axis=1)

    def scatter(self, windows: Floats) -> Floats:
        """The gradient of :meth:`gather`: [rows, neighbours x channels] to [rows, channels]."""
        channels = windows.shape[1] // len(self._offsets)
        padded = np.zeros((self._padded, channels), np.float32)
        for place, offset in enumerate(self._offsets):
            padded[self._places + offset] += windows[:, place * channels : (place + 1) * channels]
        own: Floats = padded[self._places]
        return own
