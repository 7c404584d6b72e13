"""Tickets: whole, short, the same for ever, and nothing else is taken for one."""

import base64
import zlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.producers.ticket import Ticket
from manyheads.topics.errors import InvalidRequest
from manyheads.topics.names import Lane, ring, tenant

TICKET = Ticket(
    correlation_id=bytes(range(16)),
    tenant=tenant("acme-bank"),
    ring=ring("en"),
    lane=Lane.BATCH,
    partition=5,
    offset=123_456,
    sent_ms=1_795_275_000_000,
    deadline_ms=1_795_275_010_000,
    characters=58,
)
# Written by version 1: it must be read for ever.
GOLDEN = "mh1-mcQQAAECAwQFBgcICQoLDA0OD6lhY21lLWJhbmuiZW4BBc4AAeJAzwAAAaH-uojAzwAAAaH-uq_QOv4dGII"


def test_a_ticket_of_version_1_is_read() -> None:
    assert Ticket.parse(GOLDEN) == TICKET
    assert str(TICKET) == GOLDEN


@given(
    st.binary(min_size=16, max_size=16),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True),
    st.sampled_from(Lane),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
)
def test_any_ticket_travels_as_a_short_string(
    correlation_id: bytes, name: str, lane: Lane, partition: int, offset: int
) -> None:
    ticket = Ticket(correlation_id, tenant(name), ring(name), lane, partition, offset, 2**42, 2**43, 8_192)
    assert Ticket.parse(str(ticket)) == ticket
    assert str(ticket).isascii()
    assert len(str(ticket)) <= 300


@given(st.integers(0, len(GOLDEN) - 1), st.characters())
def test_a_ticket_with_another_character_is_no_ticket(position: int, character: str) -> None:
    changed = GOLDEN[:position] + character + GOLDEN[position + 1 :]
    if changed != GOLDEN:
        with pytest.raises(InvalidRequest, match="no ticket"):
            Ticket.parse(changed)


@given(st.text())
def test_no_other_text_is_a_ticket(text: str) -> None:
    for each in (text, f"mh1-{text}"):
        with pytest.raises(InvalidRequest, match="no ticket"):
            Ticket.parse(each)


def signed(fields: object) -> str:
    packed = msgpack.packb(fields)
    return "mh1-" + base64.urlsafe_b64encode(packed + zlib.crc32(packed).to_bytes(4, "big")).decode().rstrip("=")


WRONG: tuple[object, ...] = (None, -1, "", b"", [], True)
GOOD: list[object] = [bytes(16), "acme-bank", "en", 0, 5, 123, 1, 2, 3]


@pytest.mark.parametrize(
    "fields",
    [
        *([*GOOD[:place], wrong, *GOOD[place + 1 :]] for place in range(9) for wrong in WRONG),
        GOOD[:8],
        [*GOOD, 1],
        [*GOOD[:3], 2, *GOOD[4:]],
        [*GOOD[:8], 10_000],
        {},
        "acme-bank",
    ],
)
def test_fields_that_are_not_a_tickets_are_refused(fields: object) -> None:
    assert Ticket.parse(signed(GOOD)).offset == 123
    with pytest.raises(InvalidRequest, match="no ticket"):
        Ticket.parse(signed(fields))
