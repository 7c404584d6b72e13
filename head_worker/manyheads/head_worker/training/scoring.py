"""How good a head is on examples that it has not seen: its answers against theirs."""

from collections.abc import Sequence
from dataclasses import dataclass

from manyheads.head_worker.head import Head, HeadOutput
from manyheads.head_worker.training.calibration import expected_calibration_error
from manyheads.head_worker.training.examples import LabelledEmbedding
from manyheads.topics.errors import ErrorCode, InvalidRequest, ManyheadsError


@dataclass(frozen=True, slots=True)
class EntityScores:
    """Entities count as found only if label, start and end are all right; micro-averaged."""

    found: int
    """by the head and in the examples"""
    predicted: int
    expected: int
    calibration_error: float
    """expected calibration error of the confidences, 0 to 1"""

    @property
    def precision(self) -> float:
        return self.found / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.found / self.expected if self.expected else 0.0

    @property
    def f1(self) -> float:
        """1 where there was nothing to find and nothing was found."""
        both = self.predicted + self.expected
        return 2 * self.found / both if both else 1.0


@dataclass(frozen=True, slots=True)
class Scores:
    """A head's answers to examples."""

    examples: int
    intent_accuracy: float
    """share of examples whose most likely intent is right"""
    intent_calibration_error: float
    """expected calibration error of that intent's confidence, 0 to 1"""
    entities: EntityScores | None
    """None for a head without entities"""


def evaluate(head: Head, examples: Sequence[LabelledEmbedding]) -> Scores:
    """Score the head's answers to ``examples``.

    Raises:
        InvalidRequest: invalid_argument for no examples, or for an intent or a label that the head does not know.
        ManyheadsError: whatever :meth:`Head.answer` raises for an embedding that the head cannot read.
    """
    _check_known(head, examples)
    answers: dict[int, HeadOutput] = {}
    for index, output in head.predict([example.embedding for example in examples]):
        if isinstance(output, ManyheadsError):
            raise output
        answers[index] = output
    outputs = [answers[index] for index in range(len(examples))]
    best = [output.intents[0] for output in outputs]
    right = [intent.name == example.intent for intent, example in zip(best, examples, strict=True)]
    return Scores(
        examples=len(examples),
        intent_accuracy=sum(right) / len(right),
        intent_calibration_error=expected_calibration_error([intent.confidence for intent in best], right),
        entities=None if head.card.tagger is None else _entity_scores(outputs, examples),
    )


def _entity_scores(outputs: Sequence[HeadOutput], examples: Sequence[LabelledEmbedding]) -> EntityScores:
    expected = 0
    confidences: list[float] = []
    right: list[bool] = []
    for output, example in zip(outputs, examples, strict=True):
        wanted = {(entity.label, entity.start, entity.end) for entity in example.entities}
        expected += len(wanted)
        confidences += [entity.confidence for entity in output.entities]
        right += [(entity.label, entity.start, entity.end) in wanted for entity in output.entities]
    return EntityScores(sum(right), len(right), expected, expected_calibration_error(confidences, right))


def _check_known(head: Head, examples: Sequence[LabelledEmbedding]) -> None:
    if not examples:
        raise InvalidRequest(ErrorCode.INVALID_ARGUMENT, "there are no examples to evaluate on; give at least one")
    labels = head.card.tagger.labels if head.card.tagger is not None else ()
    unknown = {example.intent for example in examples} - set(head.card.intents)
    unknown |= {entity.label for example in examples for entity in example.entities} - set(labels)
    if unknown:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"the head does not know {len(unknown)} of the labels, such as {', '.join(sorted(unknown)[:3])!r:.120}; "
            "train it with examples of them, or leave these out",
            unknown=len(unknown),
        )
