"""A loaded head: embeddings in, intents and entities out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from manyheads.head_worker.card import HeadCard, TaggerCard, corrupt
from manyheads.head_worker.decoding import EntityDecoder
from manyheads.head_worker.model_file import check_model
from manyheads.head_worker.tags import Floats
from manyheads.infra.onnx.sessions import Session, cpu_session
from manyheads.topics.arrays import to_array
from manyheads.topics.errors import ArtifactError, ErrorCode, InternalError, ManyheadsError, WireError
from manyheads.topics.limits import MAX_TOKENS
from manyheads.topics.messages import Embedding, EntitySpan, Intent
from manyheads.topics.names import SpaceName
from manyheads.topics.views import Rows, View

ROWS = "rows"
"""Input, float32 [rows, width]: of one text, or of several, one after another."""
SHAPES = "shapes"
"""Input of a head with entities, uint8 [rows]: the word shapes."""
TEXTS = "texts"
"""Input that may be left out, int64 [1]: how many texts the rows are of, all with as many; 1 unless told. A head
without it reads one text a run."""
INTENTS = "intents"
"""Output, float32 [texts, intents]: logits."""
TAGS = "tags"
"""Output of a head with entities, float32 [rows, tags]: scores."""

KNOWN_SHAPES = 0x1F
"""The flags of a word shape that heads of format 1 know; a later encoder's other flags are left out."""

HEAD_FILE = "head.onnx"
"""A head's file where it has a folder of its own."""

MAX_HEAD_BYTES = 512 * 1024 * 1024
_SHOWN_INTENTS = 3

_ROWS_A_RUN = 160
"""of several texts: more gain nothing, and what the run needs must not leave the processor's cache"""

_Feeds = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class _Text:
    """What is read of one embedding."""

    rows: Floats
    shapes: npt.NDArray[np.uint8] | None
    spans: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """What a head says of one text."""

    intents: tuple[Intent, ...]
    """the three most likely, the most likely first; fewer if the head has fewer"""
    entities: tuple[EntitySpan, ...]
    """rising, never overlapping"""


class Head:
    """A head ready to run. Use it from one thread at a time.

    Nobody's answer depends on who else is asking: texts that share a run have as many rows each, and are told, bit by
    bit, what they would be told alone.

    Attributes:
        card: what the head says of itself.
        size_bytes: of its file.
    """

    def __init__(self, card: HeadCard, session: Session, size_bytes: int) -> None:
        self.card = card
        self.size_bytes = size_bytes
        self._session = session
        self._outputs = [INTENTS] if card.tagger is None else [INTENTS, TAGS]
        self._decoder = None if card.tagger is None else _decoder(card.tagger)
        self._takes_several = any(each.name == TEXTS for each in session.get_overridable_initializers())

    @classmethod
    def load(cls, source: bytes | Path) -> Self:
        """The head of a file, or of its bytes, checked through first runs.

        Raises:
            ArtifactError: artifact_missing if the file cannot be read; artifact_corrupt, saying what is wrong.
        """
        model = source if isinstance(source, bytes) else _read(source)
        try:
            return cls._tried_out(model)
        except (ManyheadsError, MemoryError):
            raise
        except Exception as error:
            # What a file makes a library raise is never foreseen in full, and must not end a worker of many tenants.
            raise corrupt(f"it cannot be loaded ({type(error).__name__})", cause=type(error).__name__) from error

    @classmethod
    def _tried_out(cls, model: bytes) -> Self:
        card = HeadCard.from_metadata(check_model(model))
        session = cpu_session(model)
        _check_signature(session, card)
        head = cls(card, session, len(model))
        head._try_out()
        return head

    def reads(self, space: SpaceName, view: View) -> bool:
        """Whether this head was trained on embeddings of ``space`` and ``view``."""
        return (space, view) == (self.card.space, self.card.view)

    def predict(self, embeddings: Sequence[Embedding]) -> Iterator[tuple[int, HeadOutput | ManyheadsError]]:
        """Each embedding's index with what the head says of it, or with the error that it deserves.

        In no order: those with as many rows are read in one run.
        """
        alike: dict[int, list[tuple[int, _Text]]] = {}
        for index, embedding in enumerate(embeddings):
            try:
                text = self._read(embedding)
            except ManyheadsError as error:
                yield index, error
            else:
                alike.setdefault(len(text.rows), []).append((index, text))
        for rows, texts in alike.items():
            most = max(1, _ROWS_A_RUN // rows) if self._takes_several else 1
            for first in range(0, len(texts), most):
                together = texts[first : first + most]
                yield from zip(
                    (index for index, _ in together), self._answers([text for _, text in together]), strict=True
                )

    def answer(self, embedding: Embedding) -> HeadOutput:
        """What the head says of one text.

        Raises:
            ArtifactError: space_mismatch for an embedding of another space or view.
            WireError: malformed_message for rows of another width, no rows, too many, values that are not finite, or
                offsets that are not one a row.
            InternalError: the head's graph fails on this input.
        """
        (output,) = self._answers([self._read(embedding)])
        if isinstance(output, ManyheadsError):
            raise output
        return output

    def _read(self, embedding: Embedding) -> _Text:
        if not self.reads(embedding.space, embedding.view):
            raise ArtifactError(
                ErrorCode.SPACE_MISMATCH,
                f"the embedding is {embedding.view} of space {embedding.space}, and the head reads {self.card.view} of "
                f"{self.card.space}; send the request again, and if this stays, activate a head of this space",
                space=embedding.space,
                view=str(embedding.view),
                head_space=self.card.space,
                head_view=str(self.card.view),
            )
        rows, width = embedding.tensor.shape
        most = 1 if self.card.view.rows is Rows.POOLED else MAX_TOKENS
        if width != self.card.width or not 1 <= rows <= most:
            raise _malformed(
                f"{rows} rows of {width} values, not 1 to {most} of {self.card.width}", rows=rows, width=width
            )
        array, spans = to_array(embedding.tensor), embedding.row_spans()
        if self._decoder is None:
            return _Text(array, None, spans)
        if len(embedding.shapes) != rows:
            raise _malformed(f"{len(embedding.shapes)} word shapes for {rows} rows", shapes=len(embedding.shapes))
        if len(spans) != rows:
            raise _malformed(f"{len(spans)} character offsets for {rows} rows", spans=len(spans))
        return _Text(array, np.frombuffer(embedding.shapes, np.uint8) & np.uint8(KNOWN_SHAPES), spans)

    def _answers(self, texts: Sequence[_Text]) -> Sequence[HeadOutput | ManyheadsError]:
        """What the head says of each of some texts with as many rows, in one run."""
        try:
            logits, *scores = self._checked(self._run(_feeds(texts)), texts)
        except InternalError as error:
            # Whichever text it is that the graph fails on, the others are answered.
            return [error] if len(texts) == 1 else [self._answers([text])[0] for text in texts]
        finite = np.asarray(np.isfinite(logits).all(axis=1))
        if self._decoder is None:
            entities: Iterable[tuple[EntitySpan, ...]] = repeat(())
        else:
            finite &= np.isfinite(scores[0]).reshape(len(texts), -1).all(axis=1)
            by_text = scores[0].reshape(len(texts), len(texts[0].rows), -1)
            if not finite.all():
                by_text[~finite] = 0
            entities = self._entities(by_text, texts)
        return [
            HeadOutput(intents, spans) if good else _malformed("its values are too large for any embedding")
            for good, intents, spans in zip(finite, self._intents(logits), entities, strict=False)
        ]

    def _run(self, feeds: _Feeds) -> list[Floats]:
        try:
            outputs: list[Floats] = self._session.run(self._outputs, feeds)
        except Exception as error:  # ONNX Runtime's errors share no base class below Exception
            raise InternalError(
                ErrorCode.INTERNAL,
                f"the head's graph failed on this text ({type(error).__name__}); send it again later",
                cause=type(error).__name__,
            ) from error
        return outputs

    def _checked(self, outputs: list[Floats], texts: Sequence[_Text]) -> list[Floats]:
        found, expected = [each.shape for each in outputs], self._shapes(len(texts), len(texts[0].rows))
        if found != expected:
            raise InternalError(
                ErrorCode.INTERNAL,
                f"the head's graph gave outputs of {found} where {expected} was due; train and activate the head again",
                cause="shape",
            )
        return outputs

    def _shapes(self, texts: int, rows: int) -> list[tuple[int, ...]]:
        """Of the outputs for some texts with so many rows each."""
        intents = (texts, len(self.card.intents))
        return [intents] if self.card.tagger is None else [intents, (texts * rows, len(self.card.tagger.tags))]

    def _intents(self, logits: Floats) -> Iterator[tuple[Intent, ...]]:
        with np.errstate(over="ignore", invalid="ignore"):  # infinitely far behind the best is a confidence of zero
            scaled = (logits - logits.max(axis=1, keepdims=True)) / np.float32(self.card.intent_temperature)
        weights = np.exp(scaled)
        confidences = weights / weights.sum(axis=1, keepdims=True)
        order = np.argsort(-confidences, axis=1, kind="stable")[:, :_SHOWN_INTENTS]
        names = self.card.intents
        for values, best in zip(confidences, order.tolist(), strict=True):
            yield tuple(Intent(name=names[place], confidence=min(1.0, float(values[place]))) for place in best)

    def _entities(self, scores: Floats, texts: Sequence[_Text]) -> Iterator[tuple[EntitySpan, ...]]:
        assert self._decoder is not None
        assert self.card.tagger is not None
        labels = self.card.tagger.labels
        for text, found in zip(texts, self._decoder.decode(scores), strict=True):
            entities = []
            for span, confidence in found:
                start, end = text.spans[span.start][0], text.spans[span.end - 1][1]
                # Rows without a character, which no encoder of ours sends, name nothing.
                if start < end:
                    entities.append(EntitySpan(label=labels[span.label], start=start, end=end, confidence=confidence))
            yield tuple(entities)

    def _try_out(self) -> None:
        """Two texts: what the graph declares may not be what it does."""
        rows = 1 if self.card.view.rows is Rows.POOLED else 3
        shapes = None if self.card.tagger is None else np.zeros(rows, np.uint8)
        values = np.random.default_rng(0).standard_normal((2, rows, self.card.width), np.float32)
        texts = [_Text(each, shapes, ()) for each in values]
        try:
            alone = [self._run(_feeds([text])) for text in texts]
        except InternalError as error:
            raise corrupt(f"its graph does not run ({error.details['cause']})") from error
        for outputs in alone:
            for name, output, shape in zip(self._outputs, outputs, self._shapes(1, rows), strict=True):
                if output.shape != shape or not np.isfinite(output).all():
                    raise corrupt(f"its output {name} is {output.shape} or not finite, where its labels need {shape}")
        if self._takes_several:
            self._takes_several = self._keeps_apart(texts, alone)

    def _keeps_apart(self, texts: Sequence[_Text], alone: Sequence[Sequence[Floats]]) -> bool:
        """Whether texts that share a run are told what they are told alone, in this runtime on this processor."""
        try:
            together = self._run(_feeds(texts))
        except InternalError:
            return False
        return all(map(np.array_equal, together, map(np.concatenate, zip(*alone, strict=True))))


def _feeds(texts: Sequence[_Text]) -> _Feeds:
    """Of texts with as many rows."""
    first = texts[0]
    if len(texts) == 1:
        return {ROWS: first.rows} | ({} if first.shapes is None else {SHAPES: first.shapes})
    feeds: _Feeds = {ROWS: np.concatenate([text.rows for text in texts]), TEXTS: np.array([len(texts)], np.int64)}
    if first.shapes is not None:
        feeds[SHAPES] = np.concatenate([text.shapes for text in texts if text.shapes is not None])
    return feeds


def _decoder(card: TaggerCard) -> EntityDecoder:
    return EntityDecoder(
        card.tags, np.array(card.starts, np.float32), np.array(card.transitions, np.float32), card.temperature
    )


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_HEAD_BYTES:
            raise corrupt(f"it has {size:,} bytes, over {MAX_HEAD_BYTES:,}", bytes=size)
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            ErrorCode.ARTIFACT_MISSING,
            f"the head's file {path.name} cannot be read ({error.strerror}); publish the head again",
            file=path.name,
        ) from error


def _check_signature(session: Session, card: HeadCard) -> None:
    inputs: dict[str, tuple[str, int | None]] = {ROWS: ("tensor(float)", card.width)}
    outputs: dict[str, tuple[str, int | None]] = {INTENTS: ("tensor(float)", len(card.intents))}
    if card.tagger is not None:
        inputs[SHAPES] = ("tensor(uint8)", None)
        outputs[TAGS] = ("tensor(float)", len(card.tagger.tags))
    for what, expected, found in (
        ("inputs", inputs, session.get_inputs()),
        ("outputs", outputs, session.get_outputs()),
    ):
        try:
            declared = {each.name: (each.type, each.shape[1] if len(each.shape) == 2 else None) for each in found}
        except UnicodeDecodeError:
            raise corrupt(f"the names of its {what} are not UTF-8") from None
        if declared != expected:
            raise corrupt(f"its {what} are {declared}, and its card needs {expected}")


def _malformed(why: str, **details: int) -> WireError:
    return WireError(
        ErrorCode.MALFORMED_MESSAGE, f"the embedding cannot be read: {why}; does another program write it?", **details
    )
