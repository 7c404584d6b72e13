"""From scores of tags to entities: the best sequence that BIO allows, and how sure each of its spans is."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from manyheads.head_worker.tags import FORBIDDEN, OUTSIDE, Floats, TaggedSpan, TagSet

_FARTHEST = 150.0
"""How far apart scores may be, in units of the temperature, to be computed with as weights.

A tag is reached from any other in two rows at most, so the weights of a row are at most exp(4 x 150) apart, and a
float64 holds exp(700).
"""

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
        self._departures = transitions.astype(np.float64) + tags.transitions()
        self._arrivals = np.ascontiguousarray(self._departures.T)
        """[to, from]: what is compared lies side by side"""
        best = self._departures.max(axis=0)
        self._best_into_entities = best[OUTSIDE + 1 :]
        self._stays_outside = self._departures[OUTSIDE, OUTSIDE]
        self._gain_of_leaving = best[OUTSIDE] - self._stays_outside
        """what the way from an entity to O may have over that from O to O"""
        self._temperature = temperature
        self._log_starts = _below_largest(self._starts / temperature)
        self._log_weights = _below_largest(self._departures / temperature)
        self._start_weights = np.exp(self._log_starts)
        self._weights = np.exp(self._log_weights)
        self._far_apart = min(_lowest(self._log_starts), _lowest(self._log_weights)) < -_FARTHEST

    def decode(self, scores: Floats) -> Iterator[Sequence[tuple[TaggedSpan, float]]]:
        """The entities of each text, rising, each with its probability under the model.

        Args:
            scores: of each row's tags [texts, rows, tags], finite; at least one row.
        """
        exact = scores.astype(np.float64)
        doubtful = np.flatnonzero(~self._surely_outside(exact))
        paths = self._best_paths(exact[doubtful]).tolist() if len(doubtful) else []
        named = {text: path for text, path in zip(doubtful.tolist(), paths, strict=True) if any(path)}
        spans = self._spans(list(named.values()), exact[list(named)] / self._temperature) if named else iter(())
        for text in range(len(exact)):
            yield list(next(spans)) if text in named else []

    def _surely_outside(self, scores: _Weights) -> npt.NDArray[np.bool_]:
        """Whether a text has no entity, as far as that can be told from its rows one by one [texts].

        Against the sequence of nothing but O any other loses, in each row of an entity, at least ``lead``, and gains at
        most once for each of them by leaving it.
        """
        outside, inside = scores[:, :, OUTSIDE], scores[:, :, OUTSIDE + 1 :]
        lead = outside + self._stays_outside - (inside + self._best_into_entities).max(axis=2)
        first = inside[:, 0] + self._starts[OUTSIDE + 1 :]
        lead[:, 0] = outside[:, 0] + self._starts[OUTSIDE] - first.max(axis=1)
        return np.asarray((lead > self._gain_of_leaving).all(axis=1))

    def _best_paths(self, scores: _Weights) -> npt.NDArray[np.int64]:
        """Viterbi: each text's tags of the highest sum [texts, rows]."""
        texts, rows, tags = scores.shape
        best = np.empty((rows, texts, tags))
        best[0] = scores[:, 0] + self._starts
        for row in range(1, rows):
            # [from, texts, to]: the largest of rows that lie side by side is found fastest.
            candidates = best[row - 1].T[:, :, np.newaxis] + self._departures[:, np.newaxis]
            best[row] = candidates.max(axis=0) + scores[:, row]
        paths = np.empty((texts, rows), np.int64)
        paths[:, -1] = best[-1].argmax(axis=1)
        for row in range(rows - 1, 0, -1):
            # Where the best came from is sought again, for the one tag that is asked for.
            paths[:, row - 1] = (best[row - 1] + self._arrivals[paths[:, row]]).argmax(axis=1)
        return paths

    def _spans(self, paths: Sequence[list[int]], scores: _Weights) -> Iterator[Iterator[tuple[TaggedSpan, float]]]:
        """The spans of each text's path, with their probabilities."""
        behind = scores - scores.max(axis=2, keepdims=True)
        far_apart = (behind.min(axis=(1, 2)) < -_FARTHEST) | self._far_apart
        lattices = zip(*self._lattices(behind[~far_apart]), strict=True)
        for text, path in enumerate(paths):
            if far_apart[text]:
                yield self._by_logarithms(path, *self._log_lattice(behind[text]))
            else:
                yield self._by_weights(path, *next(lattices))

    def _by_weights(
        self, path: list[int], forward: _Weights, backward: _Weights, local: _Weights
    ) -> Iterator[tuple[TaggedSpan, float]]:
        for span in TagSet.decode(path):
            probability = float(forward[span.start, path[span.start]])
            for row in range(span.start + 1, span.end):
                probability *= float(self._weights[path[row - 1], path[row]] * local[row, path[row]])
            if span.end < len(path):
                # The entity ends here: all that may follow, without more of it.
                follows = self._weights[path[span.end - 1]] * local[span.end] * backward[span.end]
                probability *= float(follows.sum() - follows[TagSet.inside(span.label)])
            yield span, _as_probability(probability)

    def _by_logarithms(
        self, path: list[int], forward: _Weights, backward: _Weights, local: _Weights
    ) -> Iterator[tuple[TaggedSpan, float]]:
        """What :meth:`_by_weights` computes, of logarithms."""
        for span in TagSet.decode(path):
            logarithm = float(forward[span.start, path[span.start]])
            for row in range(span.start + 1, span.end):
                logarithm += float(self._log_weights[path[row - 1], path[row]] + local[row, path[row]])
            if span.end < len(path):
                follows = self._log_weights[path[span.end - 1]] + local[span.end] + backward[span.end]
                follows[TagSet.inside(span.label)] = FORBIDDEN
                logarithm += float(_log_sum(follows))
            # Rounding may leave it a little above what a probability has.
            yield span, _as_probability(math.exp(min(logarithm, 0.0)))

    def _lattices(self, scores: _Weights) -> tuple[_Weights, _Weights, _Weights]:
        """Forward and backward weights [texts, rows, tags], each row scaled so that forward sums to one, and its own.

        The probability of a tag in a row is forward x backward. Every text is computed as if it were alone.

        Args:
            scores: below the largest of their row, by :data:`_FARTHEST` at most.
        """
        texts, rows, tags = scores.shape
        local = np.exp(scores)
        forward = np.empty_like(local)
        backward = np.empty_like(local)
        reached = np.broadcast_to(self._start_weights, (texts, tags))
        for row in range(rows):
            reached = reached * local[:, row]
            total = reached.sum(axis=1, keepdims=True)
            local[:, row] /= total
            forward[:, row] = reached / total
            # A stack of products, not one of a matrix, whose sums would depend on how many texts there are.
            reached = np.matmul(forward[:, row, np.newaxis], self._weights)[:, 0]
        backward[:, -1] = 1
        for row in range(rows - 2, -1, -1):
            ahead = local[:, row + 1] * backward[:, row + 1]
            backward[:, row] = np.matmul(self._weights, ahead[:, :, np.newaxis])[:, :, 0]
        return forward, backward, local

    def _log_lattice(self, scores: _Weights) -> tuple[_Weights, _Weights, _Weights]:
        """The logarithms of one text's :meth:`_lattices` [rows, tags], of any finite scores. Takes its time."""
        local = scores.copy()
        forward = np.empty_like(local)
        backward = np.zeros_like(local)
        reached = self._log_starts
        for row in range(len(local)):
            reached = reached + local[row]
            total = _log_sum(reached)
            local[row] -= total
            forward[row] = reached - total
            reached = _log_sum(forward[row][:, np.newaxis] + self._log_weights)
        for row in range(len(local) - 2, -1, -1):
            backward[row] = _log_sum((self._log_weights + local[row + 1] + backward[row + 1]).T)
        return forward, backward, local


def _below_largest(scores: _Weights) -> _Weights:
    below: _Weights = scores - scores.max()
    return below


def _lowest(scores: _Weights) -> float:
    """The lowest that is not forbidden."""
    return float(scores[np.isfinite(scores)].min())


def _log_sum(logarithms: _Weights) -> _Weights:
    """The logarithm of the sum, over the first axis, of what these are the logarithms of; not all may be of nothing."""
    largest = logarithms.max(axis=0)
    found: _Weights = largest + np.log(np.exp(logarithms - largest).sum(axis=0))
    return found


def _as_probability(value: float) -> float:
    """In 0 to 1, and 0 for what is not a number."""
    return min(value, 1.0) if value > 0 else 0.0
