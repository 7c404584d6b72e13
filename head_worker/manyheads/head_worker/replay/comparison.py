"""Two heads' answers to the same texts, compared. Pure: values in, a report out, whatever their order."""

from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from manyheads.head_worker.head import HeadOutput
from manyheads.topics.messages import Prediction

_STEPS = 1_000_000
"""Confidences are summed as whole millionths, so that no order of addition changes a report."""


class Place(NamedTuple):
    """Where an embedding stands in Kafka: what is shown of a text, never the text."""

    topic: str
    partition: int
    offset: int


class Entity(NamedTuple):
    """A labelled part of a text: characters ``start`` to ``end``, the end exclusive."""

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Said:
    """What a head said of one text, as far as it is compared."""

    intent: str
    confidence: float
    """of the intent, 0 to 1"""
    entities: frozenset[Entity] = frozenset()

    @classmethod
    def of(cls, answer: HeadOutput | Prediction) -> "Said":
        """The part of an answer that is compared."""
        first = answer.intents[0]
        entities = frozenset(Entity(each.label, each.start, each.end) for each in answer.entities)
        return cls(first.name, first.confidence, entities)


@dataclass(frozen=True, slots=True)
class IntentChange:
    """How many texts had the intent ``before`` and have ``after`` now; both may be the same."""

    before: str
    after: str
    count: int


@dataclass(frozen=True, slots=True)
class LabelChange:
    """What became of the entities of one label. One that moved, or got another label, is lost and found."""

    label: str
    kept: int
    lost: int
    """only the answer of then has them"""
    found: int
    """only the head of now has them"""


@dataclass(frozen=True, slots=True)
class Example:
    """A text whose two answers differ."""

    place: Place
    before: Said
    after: Said


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """How two heads' answers compare."""

    compared: int
    """texts"""
    same_intent: int
    same_entities: int
    same_answer: int
    """both the same"""
    intents: tuple[IntentChange, ...]
    """every pair that occurred, those that differ first, the most frequent first"""
    labels: tuple[LabelChange, ...]
    """every label that occurred, by name"""
    confidence_before: float | None
    """mean of the intents' confidences; None where nothing was compared"""
    confidence_after: float | None
    confidence_moved: float | None
    """mean of the absolute differences, text by text"""
    examples: tuple[Example, ...]
    """of texts whose answers differ, those that the new head is surest of"""


@dataclass(slots=True)
class _Label:
    kept: int = 0
    lost: int = 0
    found: int = 0


@dataclass(slots=True)
class Comparison:
    """Counts, text by text, how the answers of two heads differ.

    Args:
        examples: how many texts with different answers to keep.
    """

    examples: int = 10
    _compared: int = 0
    _same_entities: int = 0
    _same_answer: int = 0
    _intents: Counter[tuple[str, str]] = field(default_factory=Counter)
    _labels: dict[str, _Label] = field(default_factory=dict)
    _before: int = 0
    _after: int = 0
    _moved: int = 0
    _kept: list[tuple[int, Place, Example]] = field(default_factory=list)

    def add(self, place: Place, before: Said, after: Said) -> None:
        """Compare the two answers to the text at ``place``; each place once."""
        self._compared += 1
        self._intents[before.intent, after.intent] += 1
        same_entities = before.entities == after.entities
        self._same_entities += same_entities
        self._count_labels(before, after)
        sure, surer = round(before.confidence * _STEPS), round(after.confidence * _STEPS)
        self._before += sure
        self._after += surer
        self._moved += abs(surer - sure)
        if same_entities and before.intent == after.intent:
            self._same_answer += 1
        else:
            self._keep(Example(place, before, after), surer)

    def report(self) -> ComparisonReport:
        """What was found so far."""
        pairs = sorted(self._intents.items(), key=lambda item: (item[0][0] == item[0][1], -item[1], item[0]))
        return ComparisonReport(
            compared=self._compared,
            same_intent=sum(count for (before, after), count in pairs if before == after),
            same_entities=self._same_entities,
            same_answer=self._same_answer,
            intents=tuple(IntentChange(before, after, count) for (before, after), count in pairs),
            labels=tuple(
                LabelChange(label, each.kept, each.lost, each.found) for label, each in sorted(self._labels.items())
            ),
            confidence_before=self._mean(self._before),
            confidence_after=self._mean(self._after),
            confidence_moved=self._mean(self._moved),
            examples=tuple(example for _, _, example in self._kept),
        )

    def _count_labels(self, before: Said, after: Said) -> None:
        for entity in before.entities | after.entities:
            label = self._labels.setdefault(entity.label, _Label())
            label.kept += entity in before.entities and entity in after.entities
            label.lost += entity not in after.entities
            label.found += entity not in before.entities

    def _keep(self, example: Example, surer: int) -> None:
        insort(self._kept, (-surer, example.place, example), key=lambda kept: kept[:2])
        del self._kept[self.examples :]

    def _mean(self, total: int) -> float | None:
        return total / _STEPS / self._compared if self._compared else None
