"""What answers are worth against their labels. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from manyheads.cli.demo.utterances import LabelledText

SpanSet = frozenset[tuple[str, int, int]]
"""(label, start, end) of each entity of one text."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One text, what it is labelled, and what a head said."""

    expected: LabelledText
    intent: str
    entities: SpanSet


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares from 0 to 1; None where there was nothing to score."""

    texts: int
    intent_accuracy: float | None
    """of the texts, those whose most likely intent is the labelled one"""
    entity_f1: float | None
    """micro-averaged over entities; one counts only with exactly its label, start and end"""


def score(answers: Iterable[Scored]) -> Scores:
    """The scores of the answers."""
    texts = right = found = labelled = hits = 0
    for answer in answers:
        expected = spans_of(answer.expected)
        texts += 1
        right += answer.intent == answer.expected.intent
        found += len(answer.entities)
        labelled += len(expected)
        hits += len(answer.entities & expected)
    f1 = 2 * hits / (found + labelled) if found + labelled else None
    return Scores(texts, right / texts if texts else None, f1)


def spans_of(example: LabelledText) -> SpanSet:
    """The labelled entities of an example."""
    return frozenset((entity.label, entity.start, entity.end) for entity in example.entities)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of ``values`` that at least ``percent`` % of them do not exceed. ValueError if there are none."""
    if not values:
        raise ValueError("no values have no percentile")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(0, int(rank) - 1)]
