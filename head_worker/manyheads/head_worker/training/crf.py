"""The likelihood of tag sequences in a linear-chain conditional random field, and its gradients."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from manyheads.head_worker.tags import Floats

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CrfGradients:
    """Of the summed negative log likelihood."""

    loss: float
    scores: Floats
    """[rows, tags], as the scores came"""
    transitions: Floats
    """[tags, tags]"""
    starts: Floats
    """[tags]"""


def crf_gradients(
    scores: Floats, tags: Integers, lengths: Integers, transitions: Floats, starts: Floats
) -> CrfGradients:
    """The negative log likelihood of ``tags`` and its gradients, by forward and backward over all texts at once.

    Args:
        scores: of each row's tags [rows, tags], texts one after another.
        tags: the right ones [rows].
        lengths: rows of each text.
        transitions: score of each tag after each other [from, to]; FORBIDDEN is impossible.
        starts: score of each tag in the first row [tags].
    """
    lattice = _Lattice(scores, lengths)
    text, place = lattice.text, lattice.place
    weights = np.exp(transitions)
    forward, totals = lattice.forward(weights, np.exp(starts))
    backward, pairs = lattice.backward(weights, forward, totals)
    posterior = (forward * backward)[text, place]
    first = place == 0
    follows = ~first
    before = tags[:-1][follows[1:]]
    after = tags[1:][follows[1:]]

    gold = scores[np.arange(len(tags)), tags].sum() + starts[tags[first]].sum() + transitions[before, after].sum()
    log_partition = np.log(totals[text, place]).sum() + lattice.highest.sum()
    by_transition = pairs * weights
    np.add.at(by_transition, (before, after), -1)
    by_start = posterior[first].sum(axis=0)
    np.add.at(by_start, tags[first], -1)
    posterior[np.arange(len(tags)), tags] -= 1
    return CrfGradients(float(log_partition - gold), posterior, by_transition, by_start)


class _Lattice:
    """The weights of all tags of all rows, [texts, places, tags], zero behind a text's end."""

    def __init__(self, scores: Floats, lengths: Integers) -> None:
        self.text = np.repeat(np.arange(len(lengths)), lengths)
        self.place = np.arange(len(self.text)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        self.highest = scores.max(axis=1)
        self._inside = np.arange(int(lengths.max())) < lengths[:, None]
        self._local = np.zeros((*self._inside.shape, scores.shape[1]), np.float32)
        self._local[self.text, self.place] = np.exp(scores - self.highest[:, None])

    def forward(self, weights: Floats, starts: Floats) -> tuple[Floats, Floats]:
        """Forward weights, scaled to sum to one in each row, and what each row was divided by [texts, places]."""
        local = self._local
        forward = np.zeros_like(local)
        totals = np.ones(self._inside.shape, np.float32)
        reached = np.broadcast_to(starts, local[:, 0].shape)
        for place in range(local.shape[1]):
            here = reached * local[:, place]
            totals[:, place] = np.where(self._inside[:, place], here.sum(axis=1), 1)
            forward[:, place] = here / totals[:, place, None]
            reached = forward[:, place] @ weights
        return forward, totals

    def backward(self, weights: Floats, forward: Floats, totals: Floats) -> tuple[Floats, Floats]:
        """Backward weights, scaled so that forward x backward is the posterior; and the expected pairs of tags,
        [from, to], without their own weights."""
        local = self._local
        backward = np.ones_like(local)
        pairs = np.zeros_like(weights)
        for place in range(local.shape[1] - 2, -1, -1):
            ahead = local[:, place + 1] * backward[:, place + 1] / totals[:, place + 1, None]
            pairs += forward[:, place].T @ ahead
            goes_on = self._inside[:, place + 1, None]
            backward[:, place] = np.where(goes_on, ahead @ weights.T, 1)
        return backward, pairs
