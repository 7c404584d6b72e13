"""Headers: an envelope survives, Spring's encodings hold, and each wrong header is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.topics import headers
from manyheads.topics.errors import ErrorCode, WireError
from manyheads.topics.headers import DeadLetterReason, Envelope, Header, ReplyAddress
from manyheads.topics.limits import MAX_HEADER_BYTES
from manyheads.topics.names import tenant
from tests.unit.topics import strategies as ours

ENVELOPE = Envelope(
    tenant("acme"), ReplyAddress(b"\x01\x02", "nlu.replies", 258), 1_700_000_000_000, f"00-{'a' * 32}-{'b' * 16}-01"
)


def changed(name: str, value: bytes | None) -> list[Header]:
    """The sound headers with one replaced, or removed if None."""
    kept = [(key, old) for key, old in ENVELOPE.to_headers() if key != name]
    return kept if value is None else [*kept, (name, value)]


@given(ours.envelopes, st.randoms())
def test_an_envelope_survives_the_wire_in_any_order(envelope: Envelope, random: st.DataObject) -> None:
    written = list(envelope.to_headers())
    random.shuffle(written)  # type: ignore[attr-defined]
    assert Envelope.from_headers(written) == envelope
    assert headers.sender_of(written) == envelope.reply
    assert headers.correlation_id_of(written) == envelope.reply.correlation_id


def test_the_encodings_are_springs() -> None:
    written = dict(ENVELOPE.to_headers())
    assert written["kafka_correlationId"] == b"\x01\x02"
    assert written["kafka_replyTopic"] == b"nlu.replies"
    assert written["kafka_replyPartition"] == b"\x00\x00\x01\x02"
    assert written["deadline"] == b"1700000000000"


@pytest.mark.parametrize("name", [headers.CORRELATION_ID, headers.REPLY_TOPIC, headers.TENANT])
def test_a_missing_header_is_named(name: str) -> None:
    with pytest.raises(WireError, match=name) as caught:
        Envelope.from_headers(changed(name, None))
    assert (caught.value.code, caught.value.details["header"]) == (ErrorCode.MISSING_HEADER, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (headers.CORRELATION_ID, b""),
        (headers.CORRELATION_ID, bytes(MAX_HEADER_BYTES + 1)),
        (headers.REPLY_TOPIC, b""),
        (headers.REPLY_TOPIC, b"no topic"),
        (headers.REPLY_TOPIC, b"nlu.replies\n"),
        (headers.REPLY_TOPIC, b"\xff"),
        (headers.REPLY_PARTITION, b""),
        (headers.REPLY_PARTITION, b"\x00\x01"),
        (headers.REPLY_PARTITION, b"\xff\xff\xff\xff"),
        (headers.TENANT, b"Acme Bank"),
        (headers.TENANT, b""),
        (headers.DEADLINE, b"soon"),
        (headers.DEADLINE, b"-1"),
        (headers.DEADLINE, b"1" * 16),
        (headers.DEADLINE, "١٢".encode()),
    ],
)
def test_a_wrong_header_is_named(name: str, value: bytes) -> None:
    with pytest.raises(WireError) as caught:
        Envelope.from_headers(changed(name, value))
    assert (caught.value.code, caught.value.details["header"]) == (ErrorCode.INVALID_HEADER, name)


def test_the_last_of_two_holds() -> None:
    assert Envelope.from_headers([("deadline", b"1"), *ENVELOPE.to_headers()]) == ENVELOPE


@pytest.mark.parametrize("value", [b"", b"nonsense", b"\xff\xff", f"00-{'A' * 32}-{'b' * 16}-01".encode()])
def test_a_wrong_traceparent_is_dropped(value: bytes) -> None:
    assert Envelope.from_headers(changed(headers.TRACEPARENT, value)).traceparent is None


def test_without_a_sound_reply_address_nobody_can_be_told() -> None:
    assert headers.sender_of([]) is None
    assert headers.sender_of(changed(headers.REPLY_TOPIC, b"\xff")) is None
    assert headers.sender_of(changed(headers.TENANT, None)) == ENVELOPE.reply


@pytest.mark.parametrize(("now_ms", "expired"), [(1_699_999_999_999, False), (1_700_000_000_000, True)])
def test_a_deadline_passes_when_it_is_reached(now_ms: int, expired: bool) -> None:
    assert ENVELOPE.expired(now_ms) is expired
    assert not ENVELOPE.with_deadline(None).expired(now_ms)


def test_a_reply_carries_its_id_and_trace() -> None:
    assert dict(headers.reply_headers(ENVELOPE.reply, "trace")) == {
        "kafka_correlationId": b"\x01\x02",
        "content-type": b"application/msgpack",
        "traceparent": b"trace",
    }


@given(ours.reasons)
def test_a_reason_survives_the_wire(reason: DeadLetterReason) -> None:
    assert DeadLetterReason.from_headers(reason.to_headers()) == reason


@pytest.mark.parametrize("message", ["é" * 1_000, "a" + "語" * 1_000, "lone \ud800 surrogate", "x" * 5_000])
def test_a_long_reason_is_cut_between_characters(message: str) -> None:
    reason = DeadLetterReason("nlu.en.requests", 3, 2**40, "internal", message)
    back = DeadLetterReason.from_headers(reason.to_headers())
    assert MAX_HEADER_BYTES - 3 <= len(back.message.encode()) <= MAX_HEADER_BYTES or back.message == "lone ? surrogate"
    assert message.replace("\ud800", "?").startswith(back.message)


@pytest.mark.parametrize("name", [headers.DEAD_LETTER_PARTITION, headers.DEAD_LETTER_OFFSET])
def test_a_reason_with_a_wrong_number(name: str) -> None:
    written = dict(DeadLetterReason("t", 1, 2, "internal", "m").to_headers()) | {name: b"\x01"}
    with pytest.raises(WireError, match=name):
        DeadLetterReason.from_headers(written.items())
