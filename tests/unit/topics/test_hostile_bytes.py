"""Whatever bytes arrive, a decoder returns or raises WireError, no other error, and allocates nothing for a claim."""

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from manyheads.topics.arrays import to_array
from manyheads.topics.codec import pack, unpack
from manyheads.topics.errors import ErrorCode, WireError
from manyheads.topics.headers import DeadLetterReason, Envelope, Headers, correlation_id_of, senders_of
from manyheads.topics.limits import MAX_ARRAY_ELEMENTS, MAX_MESSAGE_BYTES, MAX_NESTING, MAX_TENSOR_ELEMENTS
from manyheads.topics.messages import Embedding, Message, Reply, Request
from manyheads.topics.registry import RegistryRecord, decode_registry_record
from manyheads.topics.spans import unpack_spans
from manyheads.topics.tensor import TENSOR_EXT_TYPE, Tensor
from tests.unit.topics import strategies as ours

KEYS = (b"ring/en", b"encoder/en/1", b"head/en/acme/1", b"placement/en/acme")


def embedding(value: bytes) -> None:
    """All that a head does with an embedding before it computes."""
    message = Embedding.from_bytes(value)
    message.row_spans()
    to_array(message.tensor)


DECODERS: tuple[Callable[[bytes], object], ...] = (
    unpack,
    Request.from_bytes,
    embedding,
    Reply.from_bytes,
    lambda payload: to_array(Tensor.from_bytes(payload)),
    unpack_spans,
    *(partial(decode_registry_record, key) for key in KEYS),
)


def decode_in_every_way(value: bytes) -> None:
    for decode in DECODERS:
        with suppress(WireError):
            decode(value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(max_size=64),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text() | st.binary(), children, max_size=4),
)
FIELDS: tuple[str, ...] = (
    "text",
    "s",
    "e",
    "w",
    "x",
    "o",
    "h",
    "t",
    "c",
    "q",
    "k",
    "prediction",
    "failure",
    "intents",
    "entities",
)
FIELDS += ("versions", "timings", "code", "message", "details", "kind", "ring", "tenant", "head", "cells", "views")
shaped = st.dictionaries(st.sampled_from(FIELDS), anything).map(lambda fields: {"v": 1} | fields)


@settings(max_examples=300)
@given(st.binary(max_size=512))
@example(b"")
@example(b"\xc1")
@example(b"\x81\xa1v\x01\x00")
@example(b"\x80" * 2)
def test_random_bytes(value: bytes) -> None:
    decode_in_every_way(value)


@settings(max_examples=300)
@given(anything | shaped)
def test_any_msgpack(message: object) -> None:
    decode_in_every_way(msgpack.packb(message))


@given(ours.messages | ours.registry_records, st.data())
def test_truncated_messages(message: Message, data: st.DataObject) -> None:
    value = message.to_bytes()
    cut = value[: data.draw(st.integers(0, len(value) - 1))]
    with pytest.raises(WireError):
        type(message).from_bytes(cut)


@given(ours.messages | ours.registry_records, st.data())
def test_messages_with_damaged_bytes(message: Message, data: st.DataObject) -> None:
    value = bytearray(message.to_bytes())
    for position, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(value) - 1), st.integers(0, 255)), min_size=1, max_size=4)
    ):
        value[position] = byte
    with suppress(WireError):
        back = type(message).from_bytes(bytes(value))
        # What was accepted can be sent on.
        type(message).from_bytes(back.to_bytes())


@given(ours.embeddings(), st.binary(max_size=80))
def test_damaged_tensors_within_sound_embeddings(message: Embedding, payload: bytes) -> None:
    value = pack(unpack(message.to_bytes()) | {"x": msgpack.ExtType(TENSOR_EXT_TYPE, payload)})
    with suppress(WireError):
        embedding(value)


@given(st.lists(st.tuples(st.text(max_size=20) | st.sampled_from(("tenant", "deadline")), st.none() | st.binary())))
def test_any_headers(headers: list[tuple[str, Any]]) -> None:
    for decode in (Envelope.from_headers, DeadLetterReason.from_headers):
        with suppress(WireError):
            decode(headers)
    senders_of(headers)
    correlation_id_of(headers)


@given(ours.envelopes, st.data())
def test_sound_headers_with_one_damaged(envelope: Envelope, data: st.DataObject) -> None:
    headers: Headers = envelope.to_headers()
    damaged = data.draw(st.integers(0, len(headers) - 1))
    value = data.draw(st.binary(max_size=2_000))
    with suppress(WireError):
        Envelope.from_headers(
            (name, value if i == damaged else sound) for i, (name, sound) in enumerate(headers)
        ).to_headers()


@given(st.none() | st.binary() | st.sampled_from(KEYS), st.none() | ours.registry_records.map(Message.to_bytes))
def test_registry_records_under_any_key(key: bytes | None, value: bytes | None) -> None:
    with suppress(WireError):
        record: RegistryRecord = decode_registry_record(key, value)
        assert record.key == key


# --- claims ---


@contextmanager
def allocating_at_most(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def tensor(*shape: int, code: int = 0, body: bytes = b"") -> bytes:
    return struct.pack(f"<BB{len(shape)}I", code, len(shape), *shape) + body


@pytest.mark.parametrize("code", [0, 1, 2])
@pytest.mark.parametrize(
    "shape", [(2**20, 2**20), (2**32 - 1,) * 4, (1, 2**31), (2**31, 1), (MAX_TENSOR_ELEMENTS + 1,)]
)
def test_a_tensor_that_claims_too_much(shape: tuple[int, ...], code: int) -> None:
    value = pack({"v": 1, "x": msgpack.ExtType(TENSOR_EXT_TYPE, tensor(*shape, code=code))})
    with allocating_at_most(100_000), pytest.raises(WireError) as caught:
        Embedding.from_bytes(value)
    assert caught.value.code is ErrorCode.TENSOR_TOO_LARGE
    assert caught.value.details["limit"] == MAX_TENSOR_ELEMENTS


@pytest.mark.parametrize("shape", [(0,), (0, 2**32 - 1), (2**32 - 1, 0), (3, 0, 5)])
@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_tensor_without_elements(shape: tuple[int, ...], code: int) -> None:
    with allocating_at_most(100_000), pytest.raises(WireError) as caught:
        Tensor.from_bytes(tensor(*shape, code=code))
    assert caught.value.code is ErrorCode.MALFORMED_MESSAGE


@pytest.mark.parametrize(
    "claim",
    [
        b"\xdd\xff\xff\xff\xff",  # an array of 2^32 - 1
        b"\xdf\xff\xff\xff\xff",  # a map
        b"\xdb\xff\xff\xff\xff",  # a text
        b"\xc6\xff\xff\xff\xff",  # bytes
        b"\xc9\xff\xff\xff\xff\x01",  # an ext type
        struct.pack(">BI", 0xDD, MAX_ARRAY_ELEMENTS + 1),
    ],
    ids=bytes.hex,
)
@pytest.mark.parametrize("length", [64, MAX_MESSAGE_BYTES - 10])
def test_a_container_that_claims_too_much(claim: bytes, length: int) -> None:
    value = b"\x81\xa1v" + claim + bytes(length)
    with allocating_at_most(2 * MAX_MESSAGE_BYTES), pytest.raises(WireError) as caught:
        unpack(value)
    assert caught.value.code is ErrorCode.MALFORMED_MESSAGE


def test_nested_arrays_that_each_claim_the_most() -> None:
    value = (b"\xdd" + struct.pack(">I", MAX_ARRAY_ELEMENTS)) * 500
    with allocating_at_most(64 * 1024 * 1024), pytest.raises(WireError):
        unpack(value)


@pytest.mark.parametrize("depth", [MAX_NESTING + 1, 100, 511, 512, 2_000, 100_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a"], ids=["array", "map"])
def test_deep_nesting(opening: bytes, depth: int) -> None:
    value = b"\x82\xa1v\x01\xa1d" + opening * depth + b"\xc0"
    with pytest.raises(WireError) as caught:
        unpack(value)
    assert caught.value.code is ErrorCode.NESTING_TOO_DEEP


def test_nesting_at_the_limit_is_read() -> None:
    message: Any = None
    for _ in range(MAX_NESTING):
        message = {"a": message}
    assert unpack(pack(message)) == message


@pytest.mark.parametrize("value", [b"\x01", b"\x90", b"\xc0", b"\xa1v", msgpack.packb([{"v": 1}])])
def test_a_message_is_a_map(value: bytes) -> None:
    with pytest.raises(WireError, match="a message is a map"):
        unpack(value)


def test_a_message_over_the_limit_is_not_read() -> None:
    with pytest.raises(WireError) as caught:
        unpack(bytes(MAX_MESSAGE_BYTES + 1))
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE


def test_millions_of_offset_bytes_are_not_even_read() -> None:
    packed = bytes(MAX_MESSAGE_BYTES)
    with allocating_at_most(100_000), pytest.raises(WireError):
        unpack_spans(packed)
