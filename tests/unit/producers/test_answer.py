"""Answers: the prediction, in terms of the text that was sent."""

import pytest

from manyheads.producers import Answer, Entity, ErrorCode, Overloaded, PredictRequest, Result, WireError
from manyheads.producers.answer import answer_to
from manyheads.topics.messages import EntitySpan, Intent, Prediction, StageTiming, Timings, Truncation, Versions

TEXT = "move 40 euros to my savings"
TIMING = StageTiming(queue_ms=0.5, compute_ms=2.0)


def prediction(*entities: EntitySpan, truncation: Truncation | None = None) -> Prediction:
    return Prediction(
        intents=(Intent(name="transfer", confidence=0.9), Intent(name="balance", confidence=0.1)),
        entities=entities,
        versions=Versions(head="h7", encoder="e2", space="s"),
        timings=Timings(encoder=TIMING, head=TIMING),
        truncation=truncation,
    )


def span(start: int, end: int, label: str = "amount") -> EntitySpan:
    return EntitySpan(label=label, start=start, end=end, confidence=0.8)


def test_entities_carry_their_part_of_the_text() -> None:
    answer = answer_to("acme-bank", TEXT, prediction(span(5, 13), span(20, 27, "account")), 12.5)
    assert answer.entities == (
        Entity("amount", 5, 13, "40 euros", 0.8),
        Entity("account", 20, 27, "savings", 0.8),
    )
    assert answer.intent == answer.intents[0] == Intent(name="transfer", confidence=0.9)
    assert (answer.tenant, answer.versions.head, answer.latency_ms, answer.truncated) == (
        "acme-bank",
        "h7",
        12.5,
        False,
    )


def test_characters_are_counted_as_python_counts_them() -> None:
    assert answer_to("t", "🚀 nach Köln", prediction(span(7, 11)), 1.0).entities[0].text == "Köln"


def test_an_entity_beyond_the_text_is_of_another_text() -> None:
    with pytest.raises(WireError, match="20 to 28 of a text of 27") as raised:
        answer_to("acme-bank", TEXT, prediction(span(20, 28)), 1.0)
    assert raised.value.code is ErrorCode.MALFORMED_MESSAGE


def test_a_cut_text_shows() -> None:
    answer = answer_to("t", TEXT, prediction(truncation=Truncation(tokens=300, kept=250)), 1.0)
    assert answer.truncated
    assert "read 250 of 300 tokens" in repr(answer)


def test_the_repr_is_one_short_line() -> None:
    answer = answer_to("acme-bank", TEXT, prediction(span(5, 13)), 12.345)
    assert repr(answer) == "<Answer transfer 0.90, amount='40 euros', 12.3 ms, head h7, encoder e2>"


def test_answers_cannot_be_changed() -> None:
    answer = answer_to("t", TEXT, prediction(), 1.0)
    with pytest.raises(AttributeError):
        answer.tenant = "other"  # type: ignore[misc]


def test_a_result_gives_its_answer_or_raises_its_error() -> None:
    answer: Answer = answer_to("t", TEXT, prediction(), 1.0)
    request = PredictRequest("t", TEXT)
    assert Result(0, request, answer=answer).unwrap() is answer
    with pytest.raises(Overloaded):
        Result(0, request, error=Overloaded(ErrorCode.OVERLOADED, "later")).unwrap()
