"""What a head is trained on, checked: every embedding of one space and view, every label usable."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from manyheads.head_worker.card import MAX_ENTITY_LABELS, MAX_INTENTS
from manyheads.head_worker.head import KNOWN_SHAPES
from manyheads.head_worker.tags import Floats, TaggedSpan, TagSet
from manyheads.topics.arrays import to_array
from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidRequest
from manyheads.topics.messages import Embedding
from manyheads.topics.spans import Span
from manyheads.topics.views import Rows

Integers = npt.NDArray[np.int64]

MIN_EXAMPLES_PER_INTENT = 2
_MAX_LABEL_CHARACTERS = 200
_SHOWN_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class EntityExample:
    """A part of a text: characters ``start`` to ``end``, the end exclusive."""

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LabelledEmbedding:
    """One text as serving sees it, and what a head should say of it."""

    embedding: Embedding
    intent: str
    entities: tuple[EntityExample, ...] = ()
    place: str = ""
    """where it stands, such as ``shop.jsonl:7``, for errors, which else count the examples from 0"""

    def named(self, number: int) -> str:
        """In an error."""
        return self.place or f"example {number}"


@dataclass(frozen=True)
class TrainingSet:
    """Checked examples. Rows stay as they travel, int8 for the most part, until a batch needs them."""

    embeddings: tuple[Embedding, ...]
    intents: tuple[str, ...]
    """the intents, by name"""
    labels: tuple[str, ...]
    """the entity labels, by name"""
    intent_of: Integers
    """of each example, its place in ``intents``"""
    spans_of: tuple[tuple[TaggedSpan, ...], ...]
    """of each example, its entities in rows"""
    widened: int
    """entities that were widened to whole words"""

    @classmethod
    def of(cls, examples: Sequence[LabelledEmbedding]) -> "TrainingSet":
        """The examples, checked.

        An entity that begins or ends within a word is widened to the whole word, since a head names whole words; one
        behind the end of a text that was cut is left out.

        Raises:
            InvalidRequest: invalid_argument naming up to five examples and what is wrong with each; or too few
                examples or intents, or too many labels.
            ArtifactError: space_mismatch if the embeddings are not all of one space, view and width.
        """
        _check_counts(examples)
        _check_same(examples)
        labels = tuple(sorted({entity.label for example in examples for entity in example.entities}))
        intents = tuple(sorted({example.intent for example in examples}))
        _check_labels(examples[0].embedding, intents, labels)
        aligner = _Aligner(labels)
        spans = tuple(aligner.align(number, example) for number, example in enumerate(examples))
        aligner.check()
        place_of = {intent: place for place, intent in enumerate(intents)}
        return cls(
            tuple(example.embedding for example in examples),
            intents,
            labels,
            np.array([place_of[example.intent] for example in examples], np.int64),
            spans,
            aligner.widened,
        )

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def width(self) -> int:
        return self.embeddings[0].tensor.shape[1]

    @property
    def tags(self) -> TagSet:
        return TagSet(len(self.labels))

    @cached_property
    def lengths(self) -> Integers:
        """Rows of each example [examples]."""
        return np.array([embedding.tensor.shape[0] for embedding in self.embeddings], np.int64)

    def rows(self, examples: Integers) -> Floats:
        """The rows of these examples, one after another [rows, width]."""
        return np.concatenate([to_array(self.embeddings[example].tensor) for example in examples])

    def means(self) -> Floats:
        """The mean row of each example [examples, width]."""
        return np.stack([to_array(embedding.tensor).mean(axis=0) for embedding in self.embeddings])

    def shapes(self, examples: Integers) -> Integers:
        """The word shapes of these examples, one after another [rows]."""
        joined = b"".join(self.embeddings[example].shapes for example in examples)
        return (np.frombuffer(joined, np.uint8) & KNOWN_SHAPES).astype(np.int64)

    def tags_of(self, examples: Integers) -> Integers:
        """The tags of these examples, one after another [rows]."""
        return np.concatenate(
            [self.tags.encode(self.spans_of[example], int(self.lengths[example])) for example in examples]
        )


class _Aligner:
    """Character offsets to rows, collecting what does not fit."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.widened = 0
        self._problems: list[str] = []
        self._place_of = {label: place for place, label in enumerate(labels)}

    def align(self, number: int, example: LabelledEmbedding) -> tuple[TaggedSpan, ...]:
        if not example.entities:
            return ()
        words = example.embedding.row_spans()
        cut_at = words[-1][1] if example.embedding.truncation is not None else None
        found: list[TaggedSpan] = []
        for entity in sorted(example.entities, key=lambda entity: entity.start):
            what = f"{example.named(number)}: {entity.label!r:.40} at {entity.start} to {entity.end}"
            if not 0 <= entity.start < entity.end:
                self._problems.append(f"{what} holds no character")
                continue
            if cut_at is not None and entity.end > cut_at:
                continue
            covered = _covered(words, entity)
            if covered is None:
                self._problems.append(f"{what} covers no word")
            elif found and covered[0] < found[-1].end:
                self._problems.append(f"{what} shares a word with the entity before it")
            else:
                self.widened += (words[covered[0]][0], words[covered[1] - 1][1]) != (entity.start, entity.end)
                found.append(TaggedSpan(self._place_of[entity.label], *covered))
        return tuple(found)

    def check(self) -> None:
        if self._problems:
            more = len(self._problems) - _SHOWN_PROBLEMS
            raise _invalid(
                "; ".join(self._problems[:_SHOWN_PROBLEMS])
                + (f"; and {more} more" if more > 0 else "")
                + ": offsets are characters of the text, the end exclusive, and entities must not overlap",
                problems=len(self._problems),
            )


def _covered(words: Sequence[Span], entity: EntityExample) -> tuple[int, int] | None:
    """The rows, the end exclusive, that have a character of the entity."""
    rows = [row for row, (start, end) in enumerate(words) if start < entity.end and end > entity.start]
    return (rows[0], rows[-1] + 1) if rows else None


def _check_counts(examples: Sequence[LabelledEmbedding]) -> None:
    counts = Counter(example.intent for example in examples)
    if len(counts) < 2:
        raise _invalid(
            f"{len(examples)} examples of {len(counts)} intents teach nothing; give at least two intents",
            examples=len(examples),
            intents=len(counts),
        )
    few = sorted(intent for intent, count in counts.items() if count < MIN_EXAMPLES_PER_INTENT)
    if few:
        raise _invalid(
            f"{len(few)} of {len(counts)} intents have fewer than {MIN_EXAMPLES_PER_INTENT} examples, such as "
            f"{', '.join(few[:3])!r:.120}; give more of them, or leave them out",
            intents=len(counts),
            too_few=len(few),
        )


def _check_same(examples: Sequence[LabelledEmbedding]) -> None:
    first = examples[0].embedding
    for number, example in enumerate(examples):
        other = example.embedding
        found, expected = ((each.space, each.view, each.tensor.shape[1]) for each in (other, first))
        if found != expected:
            raise ArtifactError(
                ErrorCode.SPACE_MISMATCH,
                f"{example.named(number)} is {other.view} of {other.space}, {found[2]} wide, and the first is "
                f"{first.view} of {first.space}, {expected[2]} wide; encode all of them with one encoder and one view",
                example=number,
            )
        if other.tensor.shape[0] < 1:
            raise _invalid(f"{example.named(number)} has no rows; leave out texts without a word", example=number)
        if other.view.rows is not Rows.POOLED and len(other.shapes) != other.tensor.shape[0]:
            raise _invalid(
                f"{example.named(number)} lacks its word shapes and offsets; encode it again", example=number
            )


def _check_labels(embedding: Embedding, intents: Sequence[str], labels: Sequence[str]) -> None:
    for kind, names, most in (("intents", intents, MAX_INTENTS), ("entity labels", labels, MAX_ENTITY_LABELS)):
        if len(names) > most:
            raise _invalid(f"{len(names):,} {kind} are over {most:,}; split them over several heads", count=len(names))
        for name in names:
            if not 0 < len(name) <= _MAX_LABEL_CHARACTERS:
                raise _invalid(f"{name!r:.60} among the {kind} is empty or over {_MAX_LABEL_CHARACTERS} characters")
    if labels and embedding.view.rows is Rows.POOLED:
        raise _invalid(
            f"view {embedding.view} has one row a text, so entities cannot be found in it; encode the examples with a "
            "view of words, such as words:3,4,5,6"
        )


def _invalid(message: str, **details: int) -> InvalidRequest:
    return InvalidRequest(ErrorCode.INVALID_ARGUMENT, message, **details)


def shuffled_batches(count: int, size: int, generator: np.random.Generator) -> Iterator[Integers]:
    """Batches of at most ``size`` of ``count`` examples, without end; all of them once before any twice."""
    while True:
        order = generator.permutation(count)
        for start in range(0, count, size):
            yield order[start : start + size]
