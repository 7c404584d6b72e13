"""Replay: what is counted when two heads' answers are compared, and which reply belongs to which embedding."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.head_worker.replay import Comparison, Matching, Past, Place, Said, Unread
from manyheads.head_worker.replay.comparison import Entity, Example, IntentChange, LabelChange
from manyheads.topics.errors import ErrorCode, RoutingError
from manyheads.topics.headers import ReplyAddress, reply_headers
from manyheads.topics.messages import (
    EntitySpan,
    Failure,
    Intent,
    Prediction,
    Reply,
    StageTiming,
    Timings,
    Versions,
)
from manyheads.topics.names import space, version

TIMING = StageTiming(queue_ms=1, compute_ms=1)

intents = st.sampled_from(["pay", "ask", "leave"])
entities = st.frozensets(st.builds(Entity, st.sampled_from(["amount", "day"]), st.integers(0, 3), st.integers(4, 6)))
said = st.builds(Said, intents, st.floats(0, 1), entities)
pairs = st.lists(st.tuples(said, said), max_size=30)


def place(number: int) -> Place:
    return Place("nlu.en.c0.embeddings", number % 3, number)


@given(pairs, st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_of_the_texts_changes_nothing(
    texts: list[tuple[Said, Said]], examples: int, chance: random.Random
) -> None:
    numbered = [(place(number), *pair) for number, pair in enumerate(texts)]
    forwards, shuffled = Comparison(examples), Comparison(examples)
    for each in numbered:
        forwards.add(*each)
    chance.shuffle(numbered)
    for each in numbered:
        shuffled.add(*each)
    assert forwards.report() == shuffled.report()


@given(pairs, st.integers(0, 5))
def test_the_counts_add_up(texts: list[tuple[Said, Said]], examples: int) -> None:
    comparison = Comparison(examples)
    for number, pair in enumerate(texts):
        comparison.add(place(number), *pair)
    found = comparison.report()
    assert found.compared == len(texts) == sum(each.count for each in found.intents)
    assert found.same_intent == sum(each.count for each in found.intents if each.before == each.after)
    assert found.same_answer <= min(found.same_intent, found.same_entities)
    assert found.same_answer >= found.same_intent + found.same_entities - found.compared
    assert len(found.examples) == min(examples, found.compared - found.same_answer)
    assert Counter(label for before, _ in texts for label, *_ in before.entities) == Counter(
        {each.label: each.kept + each.lost for each in found.labels}
    )
    assert Counter(label for _, after in texts for label, *_ in after.entities) == Counter(
        {each.label: each.kept + each.found for each in found.labels}
    )


@given(st.lists(said, min_size=1, max_size=30))
def test_a_head_agrees_with_itself(texts: list[Said]) -> None:
    comparison = Comparison()
    for number, each in enumerate(texts):
        comparison.add(place(number), each, each)
    found = comparison.report()
    assert found.same_answer == found.compared == len(texts)
    assert found.confidence_moved == 0
    assert found.confidence_before == found.confidence_after
    assert found.examples == ()


def test_what_a_report_says() -> None:
    comparison = Comparison(examples=2)
    amount, day = Entity("amount", 0, 2), Entity("day", 5, 8)
    sure, surer = Said("ask", 0.6), Said("ask", 0.9)
    comparison.add(place(1), Said("pay", 0.5, frozenset({amount, day})), Said("pay", 0.7, frozenset({amount})))
    comparison.add(place(2), Said("pay", 0.8), sure)
    comparison.add(place(3), Said("pay", 0.8), surer)
    comparison.add(place(4), Said("ask", 0.4), Said("ask", 0.4))
    found = comparison.report()
    assert (found.compared, found.same_intent, found.same_entities, found.same_answer) == (4, 2, 3, 1)
    assert found.intents == (
        IntentChange("pay", "ask", 2),
        IntentChange("ask", "ask", 1),
        IntentChange("pay", "pay", 1),
    )
    assert found.labels == (LabelChange("amount", 1, 0, 0), LabelChange("day", 0, 1, 0))
    assert found.confidence_before == pytest.approx(2.5 / 4)
    assert found.confidence_after == pytest.approx(2.6 / 4)
    assert found.confidence_moved == pytest.approx(0.5 / 4)
    assert [each.place for each in found.examples] == [place(3), place(1)]
    assert found.examples[0] == Example(place(3), Said("pay", 0.8), surer)


def test_nothing_compared() -> None:
    found = Comparison().report()
    assert (found.compared, found.confidence_before, found.intents, found.examples) == (0, None, (), ())


# Matching


def past(number: int, *, topic: str = "nlu.replies", partition: int | None = 1, request: int | None = None) -> Past:
    correlation_id = str(number if request is None else request).encode()
    return Past(place(number), ReplyAddress(correlation_id, topic, partition), Said("pay", 0.5))


def answer(matching: Matching, request: int, reply: Reply, topic: str = "nlu.replies") -> None:
    address = ReplyAddress(str(request).encode(), topic)
    matching.reply(topic, reply_headers(address), reply.to_bytes())


def predicted(intent: str, by: str = "1") -> Reply:
    return Reply(
        prediction=Prediction(
            intents=(Intent(name=intent, confidence=0.75), Intent(name="other", confidence=0.25)),
            entities=(EntitySpan(label="day", start=1, end=3, confidence=0.9),),
            versions=Versions(head=version(by), encoder=version("e"), space=space("s")),
            timings=Timings(encoder=TIMING, head=TIMING),
        )
    )


FAILED = Reply(failure=Failure.of(RoutingError(ErrorCode.NO_ACTIVE_HEAD, "none")))


def test_each_embedding_is_counted_once() -> None:
    comparison = Comparison()
    matching = Matching(comparison)
    matching.replayed([past(1), past(2), past(3), past(4, request=1)])
    matching.replayed(
        [
            Unread(place(5), ErrorCode.SPACE_MISMATCH, "pooled:6 of another"),
            Unread(place(6), ErrorCode.MALFORMED_MESSAGE),
            past(7),
        ]
    )
    answer(matching, 1, predicted("pay", by="old"))
    answer(matching, 2, FAILED)
    answer(matching, 3, predicted("ask"))
    coverage = matching.coverage
    assert coverage.embeddings == 7
    assert coverage.copies == 1
    assert coverage.unread == {ErrorCode.SPACE_MISMATCH: 1, ErrorCode.MALFORMED_MESSAGE: 1}
    assert coverage.other == {"pooled:6 of another": 1}
    assert coverage.failed == {ErrorCode.NO_ACTIVE_HEAD: 1}
    assert coverage.without_reply == 1
    assert coverage.compared == comparison.report().compared == 2
    assert coverage.answered_by == {"old": 1, "1": 1}
    assert comparison.report().same_intent == 1


def test_the_first_reply_counts_and_others_are_passed_over() -> None:
    comparison = Comparison()
    matching = Matching(comparison)
    matching.replayed([past(1)])
    matching.reply("nlu.replies", (), predicted("pay").to_bytes())
    matching.reply("nlu.replies", reply_headers(ReplyAddress(b"1", "nlu.replies")), b"\xc1 no reply")
    answer(matching, 2, predicted("leave"))
    answer(matching, 1, predicted("leave"), topic="another.topic")
    assert matching.waiting == 1
    answer(matching, 1, predicted("pay"))
    answer(matching, 1, predicted("ask"))
    assert matching.waiting == 0
    assert comparison.report().intents == (IntentChange("pay", "pay", 1),)


def test_where_the_replies_are() -> None:
    matching = Matching(Comparison())
    matching.replayed([past(1, partition=4), past(2, partition=1), past(3, topic="own", partition=None)])
    matching.replayed([past(4, topic="own", partition=2)])
    assert matching.reply_partitions == {"nlu.replies": {1, 4}, "own": None}
