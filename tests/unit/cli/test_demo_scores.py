import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.cli.demo.scores import Scored, percentile, score
from manyheads.cli.demo.utterances import EntityAnnotation, LabelledText

BOOK = LabelledText("fly to Oslo on Friday", "book", (EntityAnnotation("city", 7, 11), EntityAnnotation("day", 15, 21)))
PLAIN = LabelledText("hello", "greet")


def test_everything_right() -> None:
    answers = [
        Scored(BOOK, "book", frozenset({("city", 7, 11), ("day", 15, 21)})),
        Scored(PLAIN, "greet", frozenset()),
    ]
    scores = score(answers)
    assert (scores.texts, scores.intent_accuracy, scores.entity_f1) == (2, 1.0, 1.0)


def test_an_entity_counts_only_with_its_label_and_both_ends() -> None:
    wrong_label = Scored(BOOK, "book", frozenset({("day", 7, 11)}))
    wrong_end = Scored(BOOK, "book", frozenset({("city", 7, 10)}))
    half = Scored(BOOK, "book", frozenset({("city", 7, 11)}))
    assert score([wrong_label]).entity_f1 == 0.0
    assert score([wrong_end]).entity_f1 == 0.0
    assert score([half]).entity_f1 == pytest.approx(2 / 3)


def test_entities_that_are_not_there_cost() -> None:
    invented = Scored(PLAIN, "other", frozenset({("city", 0, 5)}))
    scores = score([invented, Scored(BOOK, "book", frozenset({("city", 7, 11), ("day", 15, 21)}))])
    assert scores.intent_accuracy == 0.5
    assert scores.entity_f1 == pytest.approx(2 * 2 / (3 + 2))


def test_what_was_not_there_to_score_has_no_score() -> None:
    assert score([]).intent_accuracy is None
    assert score([Scored(PLAIN, "greet", frozenset())]).entity_f1 is None


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 50), (90, 90), (99, 99), (100, 100)])
def test_percentiles_of_1_to_100(percent: float, value: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], percent) == value


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(0, 100))
def test_a_percentile_is_one_of_the_values(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert sum(value <= found for value in values) >= len(values) * percent / 100
    assert found in values


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
