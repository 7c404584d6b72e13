"""Training a head: encode with the ring's encoder, exactly as serving does, then fit.

Composed here, because neither the encoder's package nor the head's may know the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Self

from manyheads.cli.demo.scores import Scored, Scores, score
from manyheads.cli.demo.utterances import Examples, LabelledText
from manyheads.encoder_worker import EncoderModel
from manyheads.head_worker import Head
from manyheads.head_worker.training import EntityExample, LabelledEmbedding, fit_head
from manyheads.infra.store import ModelStore
from manyheads.topics.errors import ErrorCode, InvalidRequest, ManyheadsError
from manyheads.topics.messages import Embedding
from manyheads.topics.names import TenantName, VersionName, version
from manyheads.topics.registry import EncoderRecord
from manyheads.topics.views import Rows, View


@dataclass(frozen=True, slots=True)
class Lesson:
    """A trained head, not yet registered."""

    encoder: EncoderRecord
    """what it was trained with"""
    tenant: TenantName
    version: VersionName
    view: View
    model: bytes
    """the head's one file"""


@dataclass(frozen=True, slots=True)
class Teacher:
    """Trains heads with a loaded encoder."""

    encoder: EncoderModel

    @classmethod
    def load(cls, record: EncoderRecord, store: ModelStore) -> Self:
        """With the encoder of a record. Raises ArtifactError."""
        return cls(EncoderModel.load(record, {ref.name: store.fetch(ref) for ref in record.artifacts}))

    def teach(self, tenant: TenantName, examples: Examples) -> Lesson:
        """Train a head on ``examples.train``.

        Raises:
            InvalidRequest: the encoder offers no view for such a head, an utterance cannot be encoded, or there are
                too few of them.
        """
        record = self.encoder.record
        view = view_for(examples, record)
        embeddings = self.embed(examples.train, view)
        model = fit_head([_labelled(*pair) for pair in zip(embeddings, examples.train, strict=True)]).model
        name = version(f"{datetime.now(UTC):%Y%m%d}-{sha256(model).hexdigest()[:6]}")
        return Lesson(record, tenant, name, view, model)

    def embed(self, examples: Sequence[LabelledText], view: View) -> list[Embedding]:
        """The embeddings of the examples, as they would travel.

        Raises:
            ManyheadsError: the first error, if an utterance has one; the message starts with the utterance's place.
        """
        found: dict[int, Embedding] = {}
        for index, outcome in self.encoder.embed([example.text for example in examples], view):
            if isinstance(outcome, ManyheadsError):
                raise _placed(outcome, examples[index])
            found[index] = outcome
        return [found[index] for index in range(len(examples))]

    def score(self, lesson: Lesson, held_out: Sequence[LabelledText]) -> Scores:
        """How good a trained head is on utterances that it was not trained on. Raises ManyheadsError."""
        head = Head.load(lesson.model)
        answers: list[Scored] = []
        for embedding, example in zip(self.embed(held_out, lesson.view), held_out, strict=True):
            output = head.answer(embedding)
            spans = frozenset((entity.label, entity.start, entity.end) for entity in output.entities)
            answers.append(Scored(example, output.intents[0].name, spans))
        return score(answers)


def _labelled(embedding: Embedding, example: LabelledText) -> LabelledEmbedding:
    entities = tuple(EntityExample(entity.label, entity.start, entity.end) for entity in example.entities)
    return LabelledEmbedding(embedding, example.intent, entities, example.place)


def _placed(error: ManyheadsError, example: LabelledText) -> ManyheadsError:
    if not example.place:
        return error
    return type(error)(error.code, f"{example.place}: {error.message}", **error.details)


def view_for(examples: Examples, encoder: EncoderRecord) -> View:
    """What a head for these examples reads: words if there are entities, else the mean; of the most layers.

    Raises:
        InvalidRequest: invalid_argument if the encoder offers no such view.
    """
    wanted = Rows.WORDS if examples.entity_labels else Rows.POOLED
    views = [view for view in encoder.views if view.rows is wanted]
    if not views:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"encoder {encoder.version} offers no {wanted} view, only {' '.join(map(str, encoder.views))}; build one "
            "that does",
            encoder=encoder.version,
        )
    return max(views, key=lambda view: len(view.layers))
