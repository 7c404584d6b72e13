"""Names, topics and views: what is accepted, what is refused, and what their texts say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.topics import names
from manyheads.topics.errors import ErrorCode, InvalidRequest
from manyheads.topics.names import CellName, Lane, RingName, StageTopic, parse_stage_topic
from manyheads.topics.views import Rows, View
from tests.unit.topics import strategies as ours


@pytest.mark.parametrize("good", ["a", "0", "acme-bank", "a" * 63, "a--b", "9lives"])
@pytest.mark.parametrize("check", [names.ring, names.cell, names.tenant])
def test_names(check: type, good: str) -> None:
    assert check(good) == good


@pytest.mark.parametrize(
    "bad", ["", "-a", "a-", "A", "a_b", "a.b", "a b", "a" * 64, "ä", "a\n", "a/b", "a#1", "x" * 10**6, None, 3]
)
@pytest.mark.parametrize("check", [names.ring, names.cell, names.tenant])
def test_no_names(check: type, bad: object) -> None:
    with pytest.raises(InvalidRequest, match="lower-case letters") as caught:
        check(bad)
    assert caught.value.code is ErrorCode.INVALID_NAME
    assert len(caught.value.message) < 250


@pytest.mark.parametrize("check", [names.version, names.space])
def test_versions_and_spaces(check: type) -> None:
    for good in ("1", "V1.2.3-rc_1+b", "20261121-3f9a", "x" * 63):
        assert check(good) == good
    for bad in ("", ".", "..", "-1", "a/b", "a b", "x" * 64, "1\n"):
        with pytest.raises(InvalidRequest, match="dots, dashes"):
            check(bad)


@given(ours.ring_names, ours.cell_names, st.sampled_from(Lane))
def test_a_stage_topic_tells_what_it_is(ring: RingName, cell: CellName, lane: Lane) -> None:
    assert parse_stage_topic(names.requests_topic(ring, lane)) == StageTopic(ring, None, lane)
    for transient in (False, True):
        topic = names.embeddings_topic(ring, cell, lane, transient=transient)
        assert parse_stage_topic(topic) == StageTopic(ring, cell, lane, transient)


@pytest.mark.parametrize(
    "topic",
    [
        "nlu.replies",
        "nlu.registry",
        "nlu.en.requests-dlt",
        "nlu.EN.requests",
        "x.en.requests",
        "nlu.requests",
        "nlu.en.requests.transient",
        "nlu.en.c0.embeddings.batch.transient",
        "transient",
        "",
        ".",
        "batch",
    ],
)
def test_any_other_topic_is_none(topic: str) -> None:
    assert parse_stage_topic(topic) is None


def test_the_names_of_a_ring() -> None:
    en, c0 = names.ring("en"), names.cell("c0")
    assert names.requests_topic(en) == "nlu.en.requests"
    assert names.requests_topic(en, Lane.BATCH) == "nlu.en.requests.batch"
    assert names.embeddings_topic(en, c0) == "nlu.en.c0.embeddings"
    assert names.embeddings_topic(en, c0, Lane.BATCH) == "nlu.en.c0.embeddings.batch"
    assert names.embeddings_topic(en, c0, Lane.BATCH, transient=True) == "nlu.en.c0.embeddings.transient.batch"
    assert names.dead_letter_topic("nlu.en.requests") == "nlu.en.requests-dlt"
    groups = {names.encoder_group(en, lane) for lane in Lane} | {names.head_group(en, c0, lane) for lane in Lane}
    assert groups == {"nlu.en.encoder", "nlu.en.encoder.batch", "nlu.en.c0.head", "nlu.en.c0.head.batch"}
    assert names.head_group(en, c0, transient=True) == "nlu.en.c0.head.transient"


@given(ours.views)
def test_a_view_survives_its_text(view: View) -> None:
    assert View.parse(str(view)) == view


def test_a_view_reads_layers_in_order() -> None:
    assert View.parse("words:3,4,5,6") == View(Rows.WORDS, (3, 4, 5, 6))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pooled",
        "pooled:",
        "pooled:0",
        "pooled:4,3",
        "pooled:3,3",
        "rows:1",
        "pooled:1,",
        "pooled:٣",
        "tokens:1000",
        " pooled:1",
        "pooled:1\n",
        None,
        7,
    ],
)
def test_what_is_no_view(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        View.parse(text)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
