"""Records that cannot be processed, on each topic of a running pipeline.

Each ends as a dead letter with its reason and an error for its sender, and its partition moves on.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import msgpack
import pytest

from manyheads.topics.errors import ErrorCode
from manyheads.topics.headers import (
    CORRELATION_ID,
    DEADLINE,
    REPLY_PARTITION,
    REPLY_TOPIC,
    TENANT,
    Envelope,
    Headers,
    ReplyAddress,
)
from manyheads.topics.messages import Request
from manyheads.topics.names import REGISTRY_TOPIC, REPLIES_TOPIC, embeddings_topic, requests_topic
from manyheads.topics.tensor import TENSOR_EXT_TYPE, Precision, Tensor
from tests.broker.pipelines import C0, EN, SHOP, Pipelines
from tests.broker.raw_records import RawRecords, with_header, without

TEXT = "hello there"
Change = Callable[[bytes], bytes | None]
HeaderChange = Callable[[Headers], Headers]


@dataclass(frozen=True)
class Case:
    """What is done to a good record, and what must come of it."""

    code: ErrorCode
    value: Change = lambda good: good
    headers: HeaderChange = lambda good: good
    told: bool = True
    """whether the sender can be told"""


def packed(good: bytes, **fields: object) -> bytes:
    """The good map with other fields."""
    changed: bytes = msgpack.packb(msgpack.unpackb(good) | fields)
    return changed


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def huge_tensor(_: bytes = b"") -> msgpack.ExtType:
    """A few bytes that claim 2^40 elements."""
    payload = Tensor(Precision.INT8, (1 << 20, 1 << 20), b"", b"").to_bytes()
    return msgpack.ExtType(TENSOR_EXT_TYPE, payload)


SOUND_HEADERS = {
    "random bytes": Case(ErrorCode.MALFORMED_MESSAGE, lambda _: random.Random(7).randbytes(500)),
    "no value": Case(ErrorCode.MALFORMED_MESSAGE, lambda _: None),
    "an empty value": Case(ErrorCode.MALFORMED_MESSAGE, lambda _: b""),
    "truncated msgpack": Case(ErrorCode.MALFORMED_MESSAGE, lambda good: good[:-3]),
    "something after the end": Case(ErrorCode.MALFORMED_MESSAGE, lambda good: good + b"\x01"),
    "a list": Case(ErrorCode.MALFORMED_MESSAGE, lambda _: msgpack.packb([1, 2])),
    "a known field nested 20 levels deep": Case(
        ErrorCode.NESTING_TOO_DEEP, lambda good: packed(good, text=nested(20), x=nested(20))
    ),
    "an unknown field nested 20 levels deep": Case(
        ErrorCode.NESTING_TOO_DEEP, lambda good: packed(good, unknown=nested(20))
    ),
    "100,000 opening brackets": Case(ErrorCode.NESTING_TOO_DEEP, lambda _: b"\x91" * 60_000),
    "a tensor of 2^40 elements": Case(ErrorCode.TENSOR_TOO_LARGE, lambda good: packed(good, x=huge_tensor())),
    "an unknown schema version": Case(ErrorCode.UNKNOWN_SCHEMA_VERSION, lambda good: packed(good, v=99)),
    "no schema version": Case(ErrorCode.UNKNOWN_SCHEMA_VERSION, lambda good: packed(good, v=None)),
}
BAD_HEADERS = {
    "no headers": Case(ErrorCode.MISSING_HEADER, headers=lambda _: (), told=False),
    "no tenant": Case(ErrorCode.MISSING_HEADER, headers=lambda good: without(good, TENANT)),
    "no correlation id": Case(ErrorCode.MISSING_HEADER, headers=lambda good: without(good, CORRELATION_ID), told=False),
    "no reply topic": Case(ErrorCode.MISSING_HEADER, headers=lambda good: without(good, REPLY_TOPIC), told=False),
    "a tenant that is no name": Case(
        ErrorCode.INVALID_HEADER, headers=lambda good: with_header(good, (TENANT, b"../etc"))
    ),
    "a deadline that is no number": Case(
        ErrorCode.INVALID_HEADER, headers=lambda good: with_header(good, (DEADLINE, b"soon"))
    ),
    "a reply partition of three bytes": Case(
        ErrorCode.INVALID_HEADER, headers=lambda good: with_header(good, (REPLY_PARTITION, b"abc")), told=False
    ),
    "the registry as reply topic": Case(
        ErrorCode.INVALID_HEADER,
        headers=lambda good: with_header(good, (REPLY_TOPIC, REGISTRY_TOPIC.encode())),
        told=False,
    ),
}
REQUESTS = {
    "over the size of a request": Case(ErrorCode.MESSAGE_TOO_LARGE, lambda good: packed(good, more="x" * 70_000)),
    "an empty text": Case(ErrorCode.TEXT_EMPTY, lambda good: packed(good, text=" ")),
    "1 MB of text": Case(ErrorCode.MESSAGE_TOO_LARGE, lambda good: packed(good, text="x" * 1_000_000)),
    "9,000 characters": Case(ErrorCode.TEXT_TOO_LONG, lambda good: packed(good, text="x" * 9_000)),
    "a lone surrogate": Case(
        ErrorCode.MALFORMED_MESSAGE, lambda good: good.replace(TEXT.encode(), b"hello \xed\xa0\x80 no")
    ),
    "a control character": Case(ErrorCode.TEXT_CONTROL_CHARACTER, lambda good: packed(good, text="a\x00b")),
    "a text that is a number": Case(ErrorCode.MALFORMED_MESSAGE, lambda good: packed(good, text=5)),
    "an unknown tenant": Case(
        ErrorCode.UNKNOWN_TENANT, headers=lambda good: with_header(good, (TENANT, b"nobody-at-all"))
    ),
}
EMBEDDINGS = {
    "another space": Case(ErrorCode.SPACE_MISMATCH, lambda good: packed(good, s="another-space")),
    "a tensor of another width": Case(
        ErrorCode.MALFORMED_MESSAGE,
        lambda good: packed(
            good,
            x=msgpack.ExtType(TENSOR_EXT_TYPE, Tensor(Precision.INT8, (1, 4), bytes(4), bytes(4)).to_bytes()),
            o=b"",
            h=b"",
        ),
    ),
    "a tensor that is text": Case(ErrorCode.MALFORMED_MESSAGE, lambda good: packed(good, x="tensor")),
}


def envelope(correlation_id: bytes) -> Envelope:
    return Envelope(SHOP.tenant, ReplyAddress(correlation_id, REPLIES_TOPIC, 0))


def check(records: RawRecords, good: bytes, case: Case) -> None:
    """Send the bad record and then a good one to the same partition."""
    bad_id, good_id = os.urandom(16), os.urandom(16)
    headers = case.headers(envelope(bad_id).to_headers())
    value = case.value(good)
    offset = records.send(value, headers, key=SHOP.tenant.encode())
    records.send(good, envelope(good_id).to_headers(), key=SHOP.tenant.encode())

    assert records.reply(good_id).prediction is not None
    letter = records.dead_letter(offset)
    assert (letter.reason.code, letter.reason.partition) == (case.code, 0)
    assert letter.value == value
    assert letter.headers[: len(headers)] == headers
    assert len(letter.reason.message) > 10
    if case.told:
        failure = records.reply(bad_id).failure
        assert failure is not None
        assert failure.code == case.code
    else:
        assert not records.has_reply(bad_id)


@pytest.mark.parametrize("case", {**SOUND_HEADERS, **BAD_HEADERS, **REQUESTS}.items(), ids=lambda item: item[0])
def test_a_bad_request(pipelines: Pipelines, case: tuple[str, Case]) -> None:
    with RawRecords(pipelines.stack.settings, requests_topic(EN)) as records:
        check(records, Request(text=TEXT).to_bytes(), case[1])


@pytest.mark.parametrize("case", {**SOUND_HEADERS, **BAD_HEADERS, **EMBEDDINGS}.items(), ids=lambda item: item[0])
def test_a_bad_embedding(pipelines: Pipelines, case: tuple[str, Case]) -> None:
    (good,) = pipelines.en.teacher.embed(SHOP.held_out[:1], pipelines.heads["en"].view)
    with RawRecords(pipelines.stack.settings, embeddings_topic(EN, C0)) as records:
        check(records, good.to_bytes(), case[1])
