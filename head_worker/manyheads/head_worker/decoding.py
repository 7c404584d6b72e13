"""From scores of tags to entities: the best sequence that BIO allows, and how sure each of its spans is."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from manyheads.head_worker.tags import OUTSIDE, Floats, TaggedSpan, TagSet

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
        self._departures = transitions.astype(np.float64) + tags.transitions()
        self._arrivals = np.ascontiguousarray(self._departures.T)
        """[to, from]: what is compared lies side by side"""
        best = self._departures.max(axis=0)
        self._best_into_entities = best[OUTSIDE + 1 :]
        self._stays_outside = self._departures[OUTSIDE, OUTSIDE]
        self._gain_of_leaving = best[OUTSIDE] - self._stays_outside
        """what the way from an entity to O may have over that from O to O"""
        self._temperature = temperature
        self._start_weights = np.exp(self._starts / temperature)
        self._weights = np.exp(self._departures / temperature)

    def decode(self, scores: Floats) -> Iterator[Sequence[tuple[TaggedSpan, float]]]:
        """The entities of each text, rising, each with its probability under the model.

        Args:
            scores: of each row's tags [texts, rows, tags], finite; at least one row.
        """
        exact = scores.astype(np.float64)
        doubtful = np.flatnonzero(~self._surely_outside(exact))
        paths = self._best_paths(exact[doubtful]).tolist() if len(doubtful) else []
        named = {text: path for text, path in zip(doubtful.tolist(), paths, strict=True) if any(path)}
        lattices = zip(*self._lattices(exact[list(named)] / self._temperature), strict=True) if named else iter(())
        for text in range(len(exact)):
            path = named.get(text)
            yield [] if path is None else list(self._with_probabilities(path, *next(lattices)))

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

    def _with_probabilities(
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
            yield span, min(max(probability, 0.0), 1.0)

    def _lattices(self, scores: _Weights) -> tuple[_Weights, _Weights, _Weights]:
        """Forward and backward weights [texts, rows, tags], each row scaled so that forward sums to one, and its own.

        The probability of a tag in a row is forward x backward. Every text is computed as if it were alone.
        """
        texts, rows, tags = scores.shape
        # The floor keeps a sum from vanishing where BIO forbids all that the scores are for.
        local = np.exp(np.maximum(scores - scores.max(axis=2, keepdims=True), _LOWEST))
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
