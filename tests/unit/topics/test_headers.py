"""Headers: an envelope survives, Spring's encodings hold, and each wrong header is named."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.topics import headers
from manyheads.topics.errors import ErrorCode, WireError
from manyheads.topics.headers import DeadLetterReason, Envelope, Header, ReplyAddress
from manyheads.topics.limits import MAX_HEADER_BYTES, MAX_TARGETS
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
    found = Envelope.from_headers(written)
    assert replace(found, further=()) == replace(envelope, further=())
    assert Counter(found.further) == Counter(envelope.further)
    assert Envelope.from_headers(envelope.to_headers()) == envelope
    assert headers.senders_of(written)[0] == envelope.reply
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


@pytest.mark.parametrize("value", [b"", b"\xff", "vendor=é".encode(), b"vendor=1\n", b"v=" + b"x" * 511])
def test_a_wrong_tracestate_is_dropped_alone(value: bytes) -> None:
    envelope = Envelope.from_headers(changed(headers.TRACESTATE, value))
    assert (envelope.traceparent, envelope.tracestate) == (ENVELOPE.traceparent, None)


def test_a_tracestate_goes_with_a_traceparent_alone() -> None:
    both = {headers.TRACEPARENT: str(ENVELOPE.traceparent).encode(), headers.TRACESTATE: b"vendor=1"}
    assert headers.trace_of(both.items()) == (ENVELOPE.traceparent, "vendor=1")
    assert headers.trace_of([(headers.TRACESTATE, b"vendor=1")]) == (None, None)
    assert headers.trace_of((both | {headers.TRACEPARENT: b"nonsense"}).items()) == (None, None)


def test_without_a_sound_reply_address_nobody_can_be_told() -> None:
    assert headers.senders_of([]) == ()
    assert headers.senders_of(changed(headers.REPLY_TOPIC, b"\xff")) == ()
    assert headers.senders_of(changed(headers.TENANT, None)) == (ENVELOPE.reply,)


@given(ours.envelopes)
def test_a_request_for_several_tenants_is_one_for_each(envelope: Envelope) -> None:
    parts = envelope.for_each()
    assert [(part.tenant, part.reply.correlation_id) for part in parts] == [
        (envelope.tenant, envelope.reply.correlation_id),
        *((target.tenant, target.correlation_id) for target in envelope.further),
    ]
    common = headers.without_address(envelope.to_headers())
    for part in parts:
        assert Envelope.from_headers((*common, *headers.address_headers(part))) == part
        assert replace(part, tenant=envelope.tenant, reply=envelope.reply, further=envelope.further) == envelope
    ids = dict.fromkeys(part.reply.correlation_id for part in parts[1:])
    assert [each.correlation_id for each in headers.senders_of(envelope.to_headers())[1:]] == list(ids)


@pytest.mark.parametrize(
    "value", [b"", b"acme", b"acme:", b":id", b"Acme Bank:id", b"acme:" + bytes(MAX_HEADER_BYTES), b"\xff:id"]
)
def test_a_wrong_target_is_named_and_the_others_can_be_told(value: bytes) -> None:
    written = [*ENVELOPE.to_headers(), (headers.TARGET, b"plain-shop:\x03:"), (headers.TARGET, value)]
    with pytest.raises(WireError, match="target") as caught:
        Envelope.from_headers(written)
    assert caught.value.code is ErrorCode.INVALID_HEADER
    told = [each.correlation_id for each in headers.senders_of(written)]
    assert told[:2] == [b"\x01\x02", b"\x03:"]


def test_there_are_at_most_so_many_targets() -> None:
    most = [(headers.TARGET, b"t:%d" % number) for number in range(MAX_TARGETS - 1)]
    assert len(Envelope.from_headers([*ENVELOPE.to_headers(), *most]).further) == MAX_TARGETS - 1
    with pytest.raises(WireError, match="1,000 tenants"):
        Envelope.from_headers([*ENVELOPE.to_headers(), *most, (headers.TARGET, b"t:id")])


@pytest.mark.parametrize(("now_ms", "expired"), [(1_699_999_999_999, False), (1_700_000_000_000, True)])
def test_a_deadline_passes_when_it_is_reached(now_ms: int, expired: bool) -> None:
    assert ENVELOPE.expired(now_ms) is expired
    assert not ENVELOPE.with_deadline(None).expired(now_ms)


def test_a_reply_carries_its_id_and_trace() -> None:
    bare = {"kafka_correlationId": b"\x01\x02", "content-type": b"application/msgpack"}
    assert dict(headers.reply_headers(ENVELOPE.reply)) == bare
    assert dict(headers.reply_headers(ENVELOPE.reply, "trace")) == bare | {"traceparent": b"trace"}
    both = dict(headers.reply_headers(ENVELOPE.reply, "trace", "state"))
    assert both == bare | {"traceparent": b"trace", "tracestate": b"state"}


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
