"""Entity labels as tags of rows: ``O`` outside, ``B`` on an entity's first row, ``I`` on its others."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

OUTSIDE = 0
FORBIDDEN = np.float32(-np.inf)
"""The score of a transition that no sequence may take."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TaggedSpan:
    """Rows ``start`` to ``end``, the end exclusive, that are one entity."""

    label: int
    """its place among the labels"""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TagSet:
    """The tags of ``labels`` entity labels: 0 is O, then B and I of each label in turn."""

    labels: int

    def __len__(self) -> int:
        return 1 + 2 * self.labels

    @staticmethod
    def begin(label: int) -> int:
        return 1 + 2 * label

    @staticmethod
    def inside(label: int) -> int:
        return 2 + 2 * label

    def starts(self) -> Floats:
        """What a sequence may start with, as scores [tags] of 0 or FORBIDDEN: anything but I."""
        scores = np.zeros(len(self), np.float32)
        scores[2::2] = FORBIDDEN
        return scores

    def transitions(self) -> Floats:
        """What may follow what, as scores [from, to] of 0 or FORBIDDEN: I only follows B or I of its own label."""
        scores = np.tile(self.starts(), (len(self), 1))
        inside = np.arange(2, len(self), 2)
        scores[inside, inside] = scores[inside - 1, inside] = 0
        return scores

    def encode(self, spans: Iterable[TaggedSpan], rows: int) -> npt.NDArray[np.int64]:
        """The tags [rows] of spans that do not overlap."""
        tags = np.full(rows, OUTSIDE, np.int64)
        for span in spans:
            tags[span.start : span.end] = self.inside(span.label)
            tags[span.start] = self.begin(span.label)
        return tags

    @staticmethod
    def decode(tags: Sequence[int]) -> Iterator[TaggedSpan]:
        """The spans of a sequence that obeys :meth:`transitions`, rising."""
        start = 0
        for row, tag in enumerate(tags):
            if tag == OUTSIDE:
                continue
            if tag % 2:
                start = row
            if row + 1 == len(tags) or tags[row + 1] == OUTSIDE or tags[row + 1] % 2:
                yield TaggedSpan((tag - 1) // 2, start, row + 1)
