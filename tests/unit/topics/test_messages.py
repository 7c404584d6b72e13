"""Messages: what is written is what is read, and a wrong field is named."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.topics.arrays import to_array
from manyheads.topics.codec import pack, unpack
from manyheads.topics.errors import ErrorCode, InternalError, ManyheadsError, WireError
from manyheads.topics.limits import MAX_ERROR_MESSAGE_CHARACTERS, MAX_REQUEST_BYTES
from manyheads.topics.messages import (
    Embedding,
    EntitySpan,
    Failure,
    Intent,
    Message,
    Prediction,
    Reply,
    Request,
    SharedRequest,
    StageTiming,
    Timings,
    Versions,
)
from manyheads.topics.spans import unpack_spans
from manyheads.topics.tensor import Precision, Tensor
from tests.unit.topics import strategies as ours


def code_of(value: bytes, model: type[Message]) -> ErrorCode:
    with pytest.raises(WireError) as caught:
        model.from_bytes(value)
    return caught.value.code


@given(ours.messages)
def test_a_message_survives_the_wire(message: Message) -> None:
    value = message.to_bytes()
    assert type(message).from_bytes(value) == message
    assert type(message).from_bytes(value).to_bytes() == value


@given(ours.embeddings())
def test_an_embedding_keeps_its_tensor_and_its_spans(embedding: Embedding) -> None:
    back = Embedding.from_bytes(embedding.to_bytes())
    assert to_array(back.tensor).tobytes() == to_array(embedding.tensor).tobytes()
    assert back.row_spans() == unpack_spans(embedding.spans)


@given(ours.messages, st.dictionaries(st.text(min_size=2, max_size=8).map("later_".__add__), st.integers(0, 9)))
def test_unknown_fields_are_ignored(message: Message, later: dict[str, int]) -> None:
    fields = unpack(message.to_bytes())
    assert type(message).from_bytes(pack(fields | later)) == message


@pytest.mark.parametrize("version", [None, 0, 3, 99, "1", True, [1], {"v": 1}, -1, 2**64 - 1, "x" * 10_000])
def test_an_unknown_version_is_refused(version: object) -> None:
    with pytest.raises(WireError) as caught:
        Request.from_bytes(msgpack.packb({"v": version, "text": "hello"}))
    assert caught.value.code is ErrorCode.UNKNOWN_SCHEMA_VERSION
    assert "version 1" in caught.value.message
    assert len(caught.value.message) < 200


def test_a_request_for_several_tenants_is_a_version_of_its_own() -> None:
    shared = SharedRequest(text="hello").to_bytes()
    assert unpack(shared) == {"v": 2, "text": "hello"}
    assert Request.from_bytes(shared).text == "hello"
    with pytest.raises(WireError, match="version 1,") as caught:  # as a worker of before would
        Reply.from_bytes(shared)
    assert caught.value.code is ErrorCode.UNKNOWN_SCHEMA_VERSION


def test_a_wrong_field_is_named() -> None:
    with pytest.raises(WireError, match=r"Request: text: ") as caught:
        Request.from_bytes(msgpack.packb({"v": 1, "text": 3}))
    assert caught.value.details == {"field": "text", "errors": 1}


def test_a_missing_value_is_malformed() -> None:
    with pytest.raises(WireError) as caught:
        Request.from_bytes(None)
    assert caught.value.code is ErrorCode.MALFORMED_MESSAGE


def test_a_request_over_its_limit_is_neither_sent_nor_read() -> None:
    long = "x" * MAX_REQUEST_BYTES
    with pytest.raises(WireError) as caught:
        Request(text=long).to_bytes()
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE
    assert caught.value.details["limit"] == MAX_REQUEST_BYTES
    assert code_of(msgpack.packb({"v": 1, "text": long}), Request) is ErrorCode.MESSAGE_TOO_LARGE


@pytest.mark.parametrize(
    "change",
    [
        {"s": "no space"},
        {"w": "pooled:0"},
        {"w": 7},
        {"x": b"bytes, not a tensor"},
        {"x": Tensor(Precision.FLOAT32, (1,), bytes(4))},
        {"t": [1]},
        {"t": [-1, 1]},
        {"t": [float("inf"), 0]},
        {"t": {"queue_ms": float("inf"), "compute_ms": 0}},
        {"t": {"queue_ms": float("nan"), "compute_ms": 0}},
        {"t": {"queue_ms": 1e300, "compute_ms": 0}},
        {"h": b"one too many, surely", "o": b"\x00\x01"},
        {"c": {"t": 0, "k": 1}},
    ],
    ids=str,
)
def test_a_wrong_embedding_is_malformed(change: dict[str, object]) -> None:
    fields = {
        "v": 1,
        "s": "a",
        "e": "1",
        "w": "pooled:1",
        "x": Tensor(Precision.FLOAT32, (1, 1), bytes(4)),
        "t": [0, 0],
    }
    Embedding.from_bytes(pack(fields))
    assert code_of(pack(fields | change), Embedding) is ErrorCode.MALFORMED_MESSAGE


def prediction(**changes: object) -> Prediction:
    timing = StageTiming(queue_ms=0, compute_ms=0)
    fields: dict[str, object] = {
        "intents": (Intent(name="a", confidence=0.5),),
        "versions": Versions(head="1", encoder="1", space="s"),
        "timings": Timings(encoder=timing, head=timing),
    }
    return Prediction.model_validate(fields | changes)


def test_a_reply_is_a_prediction_or_a_failure() -> None:
    failure = Failure(code="internal", message="no")
    for wrong in ({}, {"prediction": prediction(), "failure": failure}):
        with pytest.raises(ValueError, match="either"):
            Reply(**wrong)


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_confidence_is_a_probability(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        Intent(name="a", confidence=confidence)


def test_an_entity_has_a_character() -> None:
    with pytest.raises(ValueError, match="no character"):
        EntitySpan(label="a", start=3, end=3, confidence=1)


def test_messages_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Request(text="a").text = "b"  # type: ignore[misc]


@given(ours.errors)
def test_every_error_fits_its_reply(error: ManyheadsError) -> None:
    """A failure that could not be sent would leave its sender without an answer."""
    reply = Reply.from_bytes(Reply(failure=Failure.of(error)).to_bytes())
    assert reply.failure is not None
    back = reply.failure.error()
    assert type(back) is type(error)
    assert back.code is error.code
    assert len(back.message) <= MAX_ERROR_MESSAGE_CHARACTERS
    for name, value in error.details.items():
        if isinstance(value, int) and -(2**63) <= value < 2**63:
            assert back.details[name] == value


def test_a_failure_of_a_later_version_is_still_an_error() -> None:
    error = Failure(code="heads_on_strike", message="come back later", details={"code": 3, "self": 4}).error()
    assert isinstance(error, InternalError)
    assert "heads_on_strike: come back later" in error.message


@given(ours.timings)
def test_timings_travel_as_microseconds(timing: StageTiming) -> None:
    assert StageTiming.model_validate(timing.to_wire()) == timing
