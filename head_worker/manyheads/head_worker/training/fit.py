"""Training a head, whole: check, train, calibrate, write the file, try it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from manyheads.head_worker.building import Arithmetic, HeadWeights, IntentWeights, build_head
from manyheads.head_worker.card import HeadCard, TaggerCard
from manyheads.head_worker.decoding import EntityDecoder
from manyheads.head_worker.head import Head
from manyheads.head_worker.tags import Floats, TaggedSpan
from manyheads.head_worker.training.calibration import (
    expected_calibration_error,
    fit_span_temperature,
    fit_temperature,
    softmax,
)
from manyheads.head_worker.training.examples import Integers, LabelledEmbedding, TrainingSet
from manyheads.head_worker.training.intents import IntentPlan, intent_logits, train_intents
from manyheads.head_worker.training.scoring import EntityScores, Scores, evaluate
from manyheads.head_worker.training.tagger import Tagger, TaggerPlan, train_tagger

_HIDDEN = 512
_FEW_FOLDS, _MANY_FOLDS = 5, 10
_WHOLE = 5_000
"""From so many examples on, those held out for calibration are not missed: nothing is trained twice."""
_TRIED = 500
"""Training examples that the finished file is scored on."""
_CALIBRATION_TEXTS = 500


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train. The same options, examples and machine give the same file."""

    seed: int = 0
    arithmetic: Arithmetic = Arithmetic.INT8
    """of the finished head; training itself is in float32"""
    hidden_from: int = 50
    """examples of a mean intent from which intents get a hidden layer; below, logistic regression is better"""


DEFAULT_OPTIONS = TrainingOptions()


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What came of it."""

    training: Scores
    """of the finished file, on some of the examples that it was trained on"""
    held_out: Scores
    """of models trained without the examples that they are scored on, in float32, with the final temperatures"""
    widened_entities: int
    """entities of the examples that began or ended within a word"""
    seconds: float
    bytes: int
    """of the file"""


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A head's file, and how good it is."""

    model: bytes = field(repr=False)
    report: TrainingReport


def fit_head(examples: Sequence[LabelledEmbedding], options: TrainingOptions = DEFAULT_OPTIONS) -> TrainedHead:
    """Train a head on what the encoder says of labelled texts.

    Intents are learned from each text's mean row; entities, if there are any, from its rows, which then must be
    words or tokens. Confidences are calibrated on examples that were held out; below 5,000 examples the final weights
    are trained on all of them.

    Args:
        examples: embeddings as they travel, of one space and view, with at least two intents.
        options: the seed, and the arithmetic of the result.

    Raises:
        InvalidRequest: invalid_argument; the message says which examples are wrong, and how.
        ArtifactError: space_mismatch if they are not all of one space and view.
    """
    started = perf_counter()
    data = TrainingSet.of(examples)
    folds = _Folds.of(data, np.random.default_rng(options.seed))
    intents = _fit_intents(data, folds, options)
    entities = _fit_entities(data, folds, options) if data.labels else None
    card = HeadCard(
        space=data.embeddings[0].space,
        view=data.embeddings[0].view,
        width=data.width,
        intents=data.intents,
        intent_temperature=intents.temperature,
        tagger=None if entities is None else _tagger_card(data, entities),
    )
    weights = HeadWeights(intents.weights, None if entities is None else entities.tagger.weights)
    model = build_head(weights, card, options.arithmetic)
    tried = np.random.default_rng(options.seed).permutation(len(examples))[:_TRIED]
    report = TrainingReport(
        training=evaluate(Head.load(model), [examples[place] for place in tried]),
        held_out=Scores(
            intents.held_out, intents.accuracy, intents.calibration_error, entities.scores if entities else None
        ),
        widened_entities=data.widened,
        seconds=perf_counter() - started,
        bytes=len(model),
    )
    return TrainedHead(model, report)


@dataclass(frozen=True, slots=True)
class _Fold:
    training: Integers
    held_out: Integers


@dataclass(frozen=True, slots=True)
class _Folds:
    """Ways to hold examples out, each with the same share of every intent."""

    folds: tuple[_Fold, ...]
    everything: Integers | None
    """what the final weights are trained on; None if those of the first fold are final"""

    @classmethod
    def of(cls, data: TrainingSet, generator: np.random.Generator) -> "_Folds":
        count = _FEW_FOLDS if len(data) < _WHOLE else _MANY_FOLDS
        fold_of = np.empty(len(data), np.int64)
        offset = 0
        for intent in range(len(data.intents)):
            members = generator.permutation(np.flatnonzero(data.intent_of == intent))
            # Rare intents do not all go first into the same fold.
            fold_of[members] = (np.arange(len(members)) + offset) % count
            offset += len(members)
        folds = tuple(_Fold(np.flatnonzero(fold_of != i), np.flatnonzero(fold_of == i)) for i in range(count))
        return cls(folds, None if len(data) >= _WHOLE else np.arange(len(data)))


@dataclass(frozen=True, slots=True)
class _IntentFit:
    weights: IntentWeights
    temperature: float
    held_out: int
    """examples"""
    accuracy: float
    calibration_error: float


def _fit_intents(data: TrainingSet, folds: _Folds, options: TrainingOptions) -> _IntentFit:
    means = data.means()
    per_intent = len(data) / len(data.intents)
    plan = IntentPlan(len(data.intents), _HIDDEN if per_intent >= options.hidden_from else 0)
    # Logistic regression is so quick that every example can be held out once.
    used = folds.folds[:1] if plan.hidden or folds.everything is None else folds.folds

    def train(examples: Integers, turn: int) -> IntentWeights:
        return train_intents(means[examples], data.intent_of[examples], plan, _generator(options, turn))

    fitted = [train(fold.training, turn) for turn, fold in enumerate(used)]
    logits = np.concatenate(
        [intent_logits(means[fold.held_out], weights) for fold, weights in zip(used, fitted, strict=True)]
    )
    held_out = np.concatenate([fold.held_out for fold in used])
    wanted = data.intent_of[held_out]
    temperature = fit_temperature(logits, wanted)
    confidences = softmax(logits, temperature)
    right = confidences.argmax(axis=1) == wanted
    weights = fitted[0] if folds.everything is None else train(folds.everything, len(used))
    return _IntentFit(
        weights,
        temperature,
        len(held_out),
        float(right.mean()),
        expected_calibration_error(confidences.max(axis=1), right),
    )


@dataclass(frozen=True, slots=True)
class _EntityFit:
    tagger: Tagger
    temperature: float
    scores: EntityScores


def _fit_entities(data: TrainingSet, folds: _Folds, options: TrainingOptions) -> _EntityFit:
    plan = TaggerPlan.for_examples(len(data))
    fold = folds.folds[0]
    tagger = train_tagger(data, fold.training, plan, _generator(options, 0))
    held_out = fold.held_out[:_CALIBRATION_TEXTS]
    scores = list(_text_scores(data, held_out, tagger))

    def decoded(temperature: float) -> Iterator[tuple[int, TaggedSpan, float]]:
        decoder = EntityDecoder(data.tags, tagger.starts, tagger.transitions, temperature)
        for example, text in zip(held_out, scores, strict=True):
            (spans,) = decoder.decode(text[np.newaxis])
            for span, confidence in spans:
                yield int(example), span, confidence

    right = np.array([span in data.spans_of[example] for example, span, _ in decoded(1.0)], np.bool_)
    temperature = fit_span_temperature(lambda t: [confidence for _, _, confidence in decoded(t)], right)
    confidences = [confidence for _, _, confidence in decoded(temperature)]
    held_out_scores = EntityScores(
        found=int(right.sum()),
        predicted=len(right),
        expected=sum(len(data.spans_of[example]) for example in held_out),
        calibration_error=expected_calibration_error(confidences, right),
    )
    if folds.everything is not None:
        tagger = train_tagger(data, folds.everything, plan, _generator(options, 1))
    return _EntityFit(tagger, temperature, held_out_scores)


def _text_scores(data: TrainingSet, examples: Integers, tagger: Tagger) -> Iterator[Floats]:
    """The tagger's scores [rows, tags] of each text."""
    for example in examples:
        one = np.array([example])
        yield tagger.scores(data.rows(one), data.shapes(one), data.lengths[one])


def _tagger_card(data: TrainingSet, entities: _EntityFit) -> TaggerCard:
    return TaggerCard(
        labels=data.labels,
        temperature=entities.temperature,
        starts=tuple(_rounded(entities.tagger.starts)),
        transitions=tuple(tuple(_rounded(row)) for row in entities.tagger.transitions),
    )


def _rounded(scores: Floats) -> Iterator[float]:
    """Four decimals are more than any decision needs, and a third of the text."""
    return (round(float(score), 4) for score in scores)


def _generator(options: TrainingOptions, turn: int) -> np.random.Generator:
    return np.random.default_rng([options.seed, turn])
