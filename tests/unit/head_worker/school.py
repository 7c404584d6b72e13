"""A tiny made-up language with its own embeddings, so that heads can be trained in a second without an encoder."""

import random
import zlib
from collections.abc import Iterator

import numpy as np

from manyheads.head_worker.tags import Floats
from manyheads.head_worker.training import EntityExample, LabelledEmbedding
from manyheads.topics.arrays import to_tensor
from manyheads.topics.messages import Embedding, StageTiming
from manyheads.topics.names import space, version
from manyheads.topics.spans import Span, pack_spans, word_shapes
from manyheads.topics.tensor import Precision
from manyheads.topics.views import Rows, View

WIDTH = 48
SPACE = space("made-up")
ENCODER = version("e1")
WORDS, POOLED = View.parse("words:1"), View.parse("pooled:1")

_CITIES = ("Oslo", "New Delhi", "Lima", "Cape Town", "Kyoto", "Bern", "La Paz", "Accra")
_DAYS = ("monday", "tuesday", "next friday", "today", "tomorrow")
_PATTERNS = (
    ("book", "please book me a flight to {city} on {day}"),
    ("book", "fly from {city} to {city}"),
    ("book", "i need a seat to {city} {day}"),
    ("cancel", "cancel my trip of {day}"),
    ("cancel", "i no longer go to {city}, cancel that"),
    ("weather", "how warm is it in {city}"),
    ("weather", "will it rain in {city} {day}?"),
)


def embedding(text: str, view: View = WORDS, precision: Precision = Precision.INT8) -> Embedding:
    """Each word a random vector of its own, whatever its case; pooled views have their mean."""
    spans = tuple(_spans(text))
    rows = np.stack([_vector(text[start:end].lower()) for start, end in spans])
    if view.rows is Rows.POOLED:
        return of_rows(rows.mean(axis=0, keepdims=True), view=view, precision=precision)
    return of_rows(rows, spans, word_shapes(text, spans), view, precision)


def of_rows(
    rows: Floats,
    spans: tuple[Span, ...] = (),
    shapes: bytes = b"",
    view: View = WORDS,
    precision: Precision = Precision.INT8,
) -> Embedding:
    return Embedding(
        space=SPACE,
        encoder=ENCODER,
        view=view,
        tensor=to_tensor(rows, precision),
        spans=pack_spans(spans),
        shapes=shapes,
        timing=StageTiming(queue_ms=1.0, compute_ms=2.0),
    )


def random_embedding(generator: np.random.Generator, rows: int, width: int = WIDTH, view: View = WORDS) -> Embedding:
    """``rows`` words of three characters each."""
    return of_rows(
        generator.standard_normal((rows, width), np.float32),
        tuple((4 * row, 4 * row + 3) for row in range(rows)),
        bytes(generator.integers(0, 32, rows, np.uint8)),
        view,
    )


def lessons(count: int, seed: int = 0, view: View = WORDS, entities: bool = True) -> list[LabelledEmbedding]:
    """``count`` labelled sentences; those of one seed are always the same."""
    chance = random.Random(seed)
    return [_lesson(*_PATTERNS[place % len(_PATTERNS)], chance, view, entities) for place in range(count)]


def _lesson(intent: str, pattern: str, chance: random.Random, view: View, entities: bool) -> LabelledEmbedding:
    text = ""
    found: list[EntityExample] = []
    for piece in pattern.replace("{", "\0{").replace("}", "}\0").split("\0"):
        filled = {"{city}": _CITIES, "{day}": _DAYS}.get(piece)
        value = chance.choice(filled) if filled else piece
        if filled and entities:
            found.append(EntityExample(piece[1:-1], len(text), len(text) + len(value)))
        text += value
    return LabelledEmbedding(embedding(text, view), intent, tuple(found))


def _spans(text: str) -> Iterator[Span]:
    start: int | None = None
    for place, character in enumerate(text):
        if start is not None and not character.isalnum():
            yield start, place
            start = None
        if start is None and character.isalnum():
            start = place
        elif not character.isalnum() and not character.isspace():
            yield place, place + 1
    if start is not None:
        yield start, len(text)


def _vector(word: str) -> Floats:
    return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(WIDTH, np.float32)
