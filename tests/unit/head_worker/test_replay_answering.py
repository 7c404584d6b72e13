"""Replay: a head over records of embedding topics."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from manyheads.head_worker import Head
from manyheads.head_worker.replay import Answering, Past, Place, Said, Unread
from manyheads.head_worker.training import TrainedHead
from manyheads.infra.kafka.records import Record
from manyheads.topics.errors import ErrorCode
from manyheads.topics.headers import Envelope, ReplyAddress
from manyheads.topics.messages import StageTiming, Truncation
from manyheads.topics.names import cell as cell_name
from manyheads.topics.names import embeddings_topic, tenant
from manyheads.topics.names import ring as ring_name
from tests.unit.head_worker.school import POOLED, SPACE, embedding, lessons

TOPIC = embeddings_topic(ring_name("en"), cell_name("c0"))
ACME = tenant("acme")
ADDRESS = ReplyAddress(b"id", "nlu.replies", 1)
TEXTS = ("book me a flight to Oslo on monday", "cancel my trip of today", "how warm is it in Lima")


def record(offset: int, value: bytes | None, who: str = "acme") -> Record:
    headers = Envelope(tenant(who), ADDRESS).to_headers()
    return Record(TOPIC, 3, offset, 0, who.encode(), value, headers)


def at(offset: int) -> Place:
    return Place(TOPIC, 3, offset)


def test_a_head_says_what_it_says_in_a_worker(tagged_head: Head) -> None:
    embeddings = [lesson.embedding for lesson in lessons(20, seed=3)]
    outcomes = Answering(ACME, [tagged_head]).answer(
        [record(offset, each.to_bytes()) for offset, each in enumerate(embeddings)]
    )
    assert outcomes == [
        Past(at(offset), ADDRESS, Said.of(tagged_head.answer(each))) for offset, each in enumerate(embeddings)
    ]


def test_equal_embeddings_are_read_once(tagged_head: Head) -> None:
    """Whatever else their messages say: only what the head reads counts."""
    answering = Answering(ACME, [tagged_head])
    first = embedding(TEXTS[0])
    later = first.model_copy(
        update={"timing": StageTiming(queue_ms=9, compute_ms=9), "truncation": Truncation(tokens=300, kept=250)}
    )
    moved = first.model_copy(update={"shapes": bytes(len(first.shapes))})
    values = [each.to_bytes() for each in (first, embedding(TEXTS[1]), later, first, moved)]
    found = answering.answer([record(offset, value) for offset, value in enumerate(values)])
    assert answering.runs == 3
    said = [each.said for each in found if isinstance(each, Past)]
    assert said[0] == said[2] == said[3] == Said.of(tagged_head.answer(first))
    assert said[4] == Said.of(tagged_head.answer(moved))


def test_what_cannot_be_read_harms_no_other(tagged_head: Head) -> None:
    good = embedding(TEXTS[0]).to_bytes()
    elsewhere = embedding(TEXTS[0]).model_copy(update={"space": "another"}).to_bytes()
    records = [
        record(0, b"\xc1"),
        record(1, None),
        record(2, good, who="globex"),
        record(3, elsewhere),
        record(4, embedding(TEXTS[0], POOLED).to_bytes()),
        replace(record(5, good), headers=()),
        record(6, good),
    ]
    *unread, read = Answering(ACME, [tagged_head]).answer(records)
    assert unread == [
        Unread(at(0), ErrorCode.MALFORMED_MESSAGE),
        Unread(at(1), ErrorCode.MALFORMED_MESSAGE),
        Unread(at(2), ErrorCode.TENANT_MISMATCH),
        Unread(at(3), ErrorCode.SPACE_MISMATCH, "words:1 of another"),
        Unread(at(4), ErrorCode.SPACE_MISMATCH, f"pooled:1 of {SPACE}"),
        Unread(at(5), ErrorCode.MISSING_HEADER),
    ]
    assert isinstance(read, Past)


def test_threads_share_the_heads(tagged: TrainedHead) -> None:
    answering = Answering(ACME, [Head.load(tagged.model) for _ in range(2)])
    records = [record(offset, embedding(TEXTS[offset % 3]).to_bytes()) for offset in range(60)]
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(answering.answer, [records[first : first + 5] for first in range(0, 60, 5)]))
    found = [outcome for batch in batches for outcome in batch]
    assert [each.place for each in found] == [at(offset) for offset in range(60)]
    assert {each.said.intent for each in found if isinstance(each, Past)} == {"book", "cancel", "weather"}


@pytest.mark.parametrize("texts", [(), TEXTS])
def test_any_number_of_records(tagged_head: Head, texts: tuple[str, ...]) -> None:
    records = [record(offset, embedding(text).to_bytes()) for offset, text in enumerate(texts)]
    assert len(Answering(ACME, [tagged_head]).answer(records)) == len(texts)
