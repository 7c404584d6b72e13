"""Training: what comes of good examples, and what is said about bad ones."""

from dataclasses import replace

import numpy as np
import pytest

from manyheads.head_worker import Head
from manyheads.head_worker.building import Arithmetic
from manyheads.head_worker.training import (
    EntityExample,
    LabelledEmbedding,
    TrainedHead,
    TrainingOptions,
    evaluate,
    fit_head,
)
from manyheads.head_worker.training.examples import TrainingSet
from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidRequest
from manyheads.topics.messages import Truncation
from manyheads.topics.names import space
from tests.unit.head_worker.school import POOLED, WORDS, embedding, lessons


def test_a_head_learns_intents_and_entities(tagged: TrainedHead, tagged_head: Head) -> None:
    scores = evaluate(tagged_head, lessons(70, seed=1))
    assert scores.intent_accuracy > 0.95
    assert scores.entities is not None
    assert scores.entities.f1 > 0.9
    report = tagged.report
    assert report.held_out.intent_accuracy > 0.9
    assert report.held_out.entities is not None
    assert report.held_out.entities.f1 > 0.8
    assert report.training.examples == 140
    assert report.bytes == len(tagged.model)
    assert report.seconds > 0


def test_a_head_of_the_pooled_view_learns_intents(plain: TrainedHead, plain_head: Head) -> None:
    scores = evaluate(plain_head, lessons(70, seed=1, view=POOLED, entities=False))
    assert scores.intent_accuracy > 0.95
    assert scores.entities is None
    assert plain.report.held_out.examples == 140


def test_a_head_of_words_without_entities_learns_intents() -> None:
    head = Head.load(fit_head(lessons(70, entities=False)).model)
    assert head.card.tagger is None
    assert evaluate(head, lessons(70, seed=1, entities=False)).intent_accuracy > 0.9


def test_many_examples_of_each_intent_get_a_hidden_layer() -> None:
    examples = lessons(70, view=POOLED, entities=False)
    direct, hidden = (fit_head(examples, TrainingOptions(hidden_from=limit)) for limit in (1_000, 2))
    assert len(hidden.model) > 2 * len(direct.model)
    assert evaluate(Head.load(hidden.model), lessons(70, 1, POOLED, entities=False)).intent_accuracy > 0.9


def test_the_same_seed_gives_the_same_file() -> None:
    examples = lessons(42)
    assert fit_head(examples).model == fit_head(examples).model
    assert fit_head(examples).model != fit_head(examples, TrainingOptions(seed=1)).model


def test_int8_says_the_same_as_float32() -> None:
    examples, others = lessons(140), [lesson.embedding for lesson in lessons(70, seed=2)]
    heads = [Head.load(fit_head(examples, TrainingOptions(arithmetic=each)).model) for each in Arithmetic]
    for embedded in others:
        int8, float32 = (head.answer(embedded) for head in heads)
        assert int8.intents[0].name == float32.intents[0].name
        assert int8.intents[0].confidence == pytest.approx(float32.intents[0].confidence, abs=0.1)
    assert heads[0].size_bytes < 0.5 * heads[1].size_bytes


def _one(text: str, *entities: tuple[str, int, int], intent: str = "book") -> LabelledEmbedding:
    return LabelledEmbedding(embedding(text), intent, tuple(EntityExample(*entity) for entity in entities))


def _set_of(*examples: LabelledEmbedding) -> TrainingSet:
    return TrainingSet.of([*lessons(14), *examples])


def test_an_entity_within_a_word_is_widened_to_it() -> None:
    data = _set_of(_one("to Capetown please", ("city", 3, 7)))
    assert data.widened == 1
    assert [(span.start, span.end) for span in data.spans_of[-1]] == [(1, 2)]


def test_an_entity_behind_the_cut_of_a_long_text_is_left_out() -> None:
    whole = _one("go to Oslo", ("city", 6, 10), ("city", 50, 54))
    cut = whole.embedding.model_copy(update={"truncation": Truncation(tokens=300, kept=250)})
    assert len(_set_of(replace(whole, embedding=cut)).spans_of[-1]) == 1
    with pytest.raises(InvalidRequest, match="covers no word"):
        _set_of(whole)


@pytest.mark.parametrize(
    ("example", "says"),
    [
        (_one("to Oslo", ("city", 5, 5)), "holds no character"),
        (_one("to Oslo", ("city", -2, 5)), "holds no character"),
        (_one("to Oslo", ("city", 90, 95)), "covers no word"),
        (_one("to  Oslo", ("city", 2, 4)), "covers no word"),
        (_one("to Oslo", ("city", 3, 7), ("day", 5, 7)), "shares a word"),
        (_one("to Oslo", ("c" * 201, 3, 7)), "over 200 characters"),
        (_one("to Oslo", ("", 3, 7)), "is empty"),
    ],
)
def test_an_unusable_entity_is_named(example: LabelledEmbedding, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as raised:
        _set_of(example)
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_an_unusable_example_is_named_by_its_place() -> None:
    spaces = replace(_one("to  Oslo", ("city", 2, 4)), place="shop.jsonl:7")
    with pytest.raises(InvalidRequest, match=r"^shop.jsonl:7: 'city' at 2 to 4 covers no word"):
        _set_of(spaces)
    bare = spaces.embedding.model_copy(update={"spans": b"", "shapes": b""})
    with pytest.raises(InvalidRequest, match=r"^shop.jsonl:7 lacks its word shapes"):
        _set_of(replace(spaces, embedding=bare))


def test_of_many_problems_the_first_five_are_shown() -> None:
    with pytest.raises(InvalidRequest, match="and 3 more") as raised:
        _set_of(*[_one("to Oslo", ("city", 90, 95))] * 8)
    assert raised.value.details["problems"] == 8
    assert "example 18" in raised.value.message


def test_there_must_be_something_to_tell_apart() -> None:
    with pytest.raises(InvalidRequest, match="at least two intents"):
        fit_head([])
    with pytest.raises(InvalidRequest, match="at least two intents"):
        fit_head([replace(lesson, intent="book") for lesson in lessons(14)])
    with pytest.raises(InvalidRequest, match="fewer than 2 examples, such as 'rare'"):
        _set_of(_one("to Oslo", intent="rare"))


def test_examples_of_two_spaces_or_views_are_refused() -> None:
    lesson = lessons(1)[0]
    elsewhere = lesson.embedding.model_copy(update={"space": space("another")})
    for other in (replace(lesson, embedding=elsewhere), LabelledEmbedding(embedding("hello you", POOLED), "book")):
        with pytest.raises(ArtifactError) as raised:
            _set_of(other)
        assert raised.value.code is ErrorCode.SPACE_MISMATCH
        assert raised.value.details["example"] == 14


def test_entities_need_rows() -> None:
    examples = lessons(14, view=POOLED, entities=False)
    examples[3] = replace(examples[3], entities=(EntityExample("city", 0, 3),))
    with pytest.raises(InvalidRequest, match="one row a text"):
        fit_head(examples)


def test_rows_without_offsets_are_refused() -> None:
    lesson = lessons(1)[0]
    bare = lesson.embedding.model_copy(update={"spans": b"", "shapes": b""})
    with pytest.raises(InvalidRequest, match="lacks its word shapes"):
        _set_of(replace(lesson, embedding=bare))


def test_evaluation_refuses_labels_that_the_head_never_saw(tagged_head: Head) -> None:
    for unknown in (_one("to Oslo", intent="dance"), _one("to Oslo", ("planet", 3, 7))):
        with pytest.raises(InvalidRequest, match="does not know 1"):
            evaluate(tagged_head, [unknown])
    with pytest.raises(InvalidRequest, match="no examples"):
        evaluate(tagged_head, [])


def test_scores_count_exact_spans_only(tagged_head: Head) -> None:
    lesson = lessons(1)[0]
    answered = tagged_head.answer(lesson.embedding).entities
    assert answered
    right = tuple(EntityExample(entity.label, entity.start, entity.end) for entity in answered)
    shifted = (replace(right[0], end=right[0].end + 1), *right[1:])
    exact, near = (
        evaluate(tagged_head, [replace(lesson, entities=entities)]).entities for entities in (right, shifted)
    )
    assert exact is not None
    assert near is not None
    assert exact.f1 == exact.precision == exact.recall == 1.0
    assert near.found == len(right) - 1


def test_rows_stay_as_they_travel_until_a_batch_needs_them() -> None:
    data = TrainingSet.of(lessons(14))
    rows = data.rows(np.array([0, 1]))
    assert rows.shape == (data.lengths[:2].sum(), data.width)
    assert data.embeddings[0].view == WORDS
    assert len(data.tags_of(np.array([0, 1]))) == len(data.shapes(np.array([0, 1]))) == len(rows)
