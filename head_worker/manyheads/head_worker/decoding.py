"""From scores of tags to entities: the best sequence that BIO allows, and how sure each of its spans is."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from manyheads.head_worker.tags import Floats, TaggedSpan, TagSet

_LOWEST = -200.0

_Weights = npt.NDArray[np.float64]


class EntityDecoder:
    """A linear-chain conditional random field at work.

    Args:
        tags: the tags.
        starts: learned score of each tag in the first row [tags].
        transitions: learned score of each tag after each other [from, to].
        temperature: divides all scores before they become probabilities; over 1 makes confidences smaller.

    What BIO forbids is forbidden whatever the scores say.
    """

    def __init__(self, tags: TagSet, starts: Floats, transitions: Floats, temperature: float) -> None:
        self._starts = starts.astype(np.float64) + tags.starts()
        departures = transitions.astype(np.float64) + tags.transitions()
        self._arrivals = np.ascontiguousarray(departures.T)
        """[to, from]: what is compared lies side by side"""
        self._temperature = temperature
        self._start_weights = np.exp(self._starts / temperature)
        self._weights = np.exp(departures / temperature)

    def decode(self, scores: Floats) -> Iterator[Sequence[tuple[TaggedSpan, float]]]:
        """The entities of each text, rising, each with its probability under the model.

        Args:
            scores: of each row's tags [texts, rows, tags], finite; at least one row.
        """
        exact = scores.astype(np.float64)
        for text, path in zip(exact, self._best_paths(exact).tolist(), strict=True):
            yield list(self._with_probabilities(text, path)) if any(path) else ()

    def _best_paths(self, scores: _Weights) -> npt.NDArray[np.int64]:
        """Viterbi: each text's tags of the highest sum [texts, rows]."""
        texts, rows, _ = scores.shape
        best = scores[:, 0] + self._starts
        origins = []
        for row in range(1, rows):
            candidates = best[:, None] + self._arrivals
            origins.append(candidates.argmax(axis=2))
            best = candidates.max(axis=2) + scores[:, row]
        paths = np.empty((texts, rows), np.int64)
        paths[:, -1] = best.argmax(axis=1)
        each = np.arange(texts)
        for row in range(rows - 1, 0, -1):
            paths[:, row - 1] = origins[row - 1][each, paths[:, row]]
        return paths

    def _with_probabilities(self, scores: _Weights, path: list[int]) -> Iterator[tuple[TaggedSpan, float]]:
        forward, backward, local = self._lattice(scores / self._temperature)
        for span in TagSet.decode(path):
            probability = float(forward[span.start, path[span.start]])
            for row in range(span.start + 1, span.end):
                probability *= float(self._weights[path[row - 1], path[row]] * local[row, path[row]])
            if span.end < len(path):
                # The entity ends here: all that may follow, without more of it.
                follows = self._weights[path[span.end - 1]] * local[span.end] * backward[span.end]
                probability *= float(follows.sum() - follows[TagSet.inside(span.label)])
            yield span, min(max(probability, 0.0), 1.0)

    def _lattice(self, scores: _Weights) -> tuple[_Weights, _Weights, _Weights]:
        """Forward and backward weights [rows, tags], each row scaled so that forward sums to one, and the row's own.

        The probability of a tag in a row is forward x backward.
        """
        rows = len(scores)
        # The floor keeps a sum from vanishing where BIO forbids all that the scores are for.
        local = np.exp(np.maximum(scores - scores.max(axis=1, keepdims=True), _LOWEST))
        forward = np.empty_like(local)
        backward = np.empty_like(local)
        reached = self._start_weights
        for row in range(rows):
            reached = reached * local[row]
            total = reached.sum()
            local[row] /= total
            forward[row] = reached / total
            reached = forward[row] @ self._weights
        backward[-1] = 1
        for row in range(rows - 2, -1, -1):
            backward[row] = self._weights @ (local[row + 1] * backward[row + 1])
        return forward, backward, local
