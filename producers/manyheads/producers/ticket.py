"""Tickets: what ``send`` gives back, and any process may read the answer by. Pure."""

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Any, Self

import msgpack

from manyheads.topics import names
from manyheads.topics.errors import ErrorCode, InvalidRequest
from manyheads.topics.limits import MAX_TEXT_CHARACTERS
from manyheads.topics.names import Lane, RingName, TenantName

_PREFIX = "mh1-"
"""The version; bytes of version 1 are read for ever."""
_LONGEST = 512
_CHECKSUM_BYTES = 4
TICKET_ID_BYTES = 16
"""random, so that no client takes the reply for one of its own calls'"""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where the answer to one request will be. ``str(ticket)`` travels; :meth:`parse` reads it again.

    It holds neither the text nor a secret. Who may read the reply topic may read the answer.
    """

    correlation_id: bytes
    tenant: TenantName
    ring: RingName
    lane: Lane
    partition: int
    """of the reply topic"""
    offset: int
    """the reply is here or behind it"""
    sent_ms: int
    """milliseconds since the epoch, as ``deadline_ms``"""
    deadline_ms: int
    characters: int
    """of the text"""

    def __str__(self) -> str:
        fields = (
            self.correlation_id,
            self.tenant,
            self.ring,
            list(Lane).index(self.lane),
            self.partition,
            self.offset,
            self.sent_ms,
            self.deadline_ms,
            self.characters,
        )
        packed: bytes = msgpack.packb(fields)
        checked = packed + zlib.crc32(packed).to_bytes(_CHECKSUM_BYTES, "big")
        return _PREFIX + base64.urlsafe_b64encode(checked).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The ticket that was written as ``text``. Raises InvalidRequest(invalid_argument)."""
        if not isinstance(text, str) or not text.startswith(_PREFIX) or len(text) > _LONGEST:
            raise _no_ticket(f"it begins with {_PREFIX} and has at most {_LONGEST} characters")
        encoded = text.removeprefix(_PREFIX)
        try:
            checked = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _no_ticket("a character is none of base64's") from None
        packed, checksum = checked[:-_CHECKSUM_BYTES], checked[-_CHECKSUM_BYTES:]
        if zlib.crc32(packed).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
            raise _no_ticket("a part of it was changed or lost on its way")
        try:
            ticket = cls._of(msgpack.unpackb(packed))
        except (ValueError, TypeError, IndexError, InvalidRequest, msgpack.UnpackException):
            raise _no_ticket("its fields are not those of a ticket") from None
        if str(ticket) != text:
            raise _no_ticket("it is written in another way than tickets are")
        return ticket

    @classmethod
    def _of(cls, fields: Any) -> Self:
        match fields:
            case [bytes(correlation_id), str(tenant), str(ring), int(lane), *numbers]:
                partition, offset, sent_ms, deadline_ms, characters = numbers
            case _:
                raise ValueError("not the fields of a ticket")
        whole = all(type(each) is int and each >= 0 for each in (lane, *numbers))
        if not whole or len(correlation_id) != TICKET_ID_BYTES or characters > MAX_TEXT_CHARACTERS:
            raise ValueError("a field is out of its range")
        return cls(
            correlation_id=correlation_id,
            tenant=names.tenant(tenant),
            ring=names.ring(ring),
            lane=list(Lane)[lane],
            partition=partition,
            offset=offset,
            sent_ms=sent_ms,
            deadline_ms=deadline_ms,
            characters=characters,
        )


def _no_ticket(why: str) -> InvalidRequest:
    return InvalidRequest(
        ErrorCode.INVALID_ARGUMENT, f"this is no ticket: {why}. Pass on what str() of a ticket gave you, as it was"
    )
