"""Record headers: who asks, for which tenant, until when, and where the reply goes.

Request-reply headers have the names and encodings of Spring Kafka, so that a Java service with a
ReplyingKafkaTemplate can call the pipeline: the correlation id is opaque bytes, the reply partition four bytes,
big-endian. The deadline and the time of the request are milliseconds since the epoch in decimal digits, so that a
console shows them.

A request may be for several tenants. The first is named as that of any request is, by ``tenant`` and the correlation
id; each further one by a header ``target`` of its own, which may be there many times: the tenant, a colon, the
correlation id of its answer. Its value is a :class:`manyheads.topics.messages.SharedRequest`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from manyheads.topics.codec import CONTENT_TYPE
from manyheads.topics.errors import ErrorCode, InvalidRequest, ManyheadsError, WireError
from manyheads.topics.limits import MAX_HEADER_BYTES, MAX_TARGETS
from manyheads.topics.names import TenantName, tenant

CORRELATION_ID = "kafka_correlationId"
REPLY_TOPIC = "kafka_replyTopic"
REPLY_PARTITION = "kafka_replyPartition"
TENANT = "tenant"
TARGET = "target"
DEADLINE = "deadline"
REQUESTED = "request-timestamp"
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
CONTENT_TYPE_HEADER = "content-type"

DEAD_LETTER_TOPIC = "kafka_dlt-original-topic"
DEAD_LETTER_PARTITION = "kafka_dlt-original-partition"
DEAD_LETTER_OFFSET = "kafka_dlt-original-offset"
DEAD_LETTER_MESSAGE = "kafka_dlt-exception-message"
DEAD_LETTER_CODE = "dlt-error-code"

Header = tuple[str, bytes]
Headers = tuple[Header, ...]

# Kafka's own rule for a topic's name.
TOPIC_PATTERN = re.compile(r"[a-zA-Z0-9._-]{1,249}")
TRACEPARENT_PATTERN = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
TRACESTATE_PATTERN = re.compile(r"[\x20-\x7e]{1,512}")
EPOCH_MS_PATTERN = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """Where a reply goes, and the id by which its client knows it."""

    correlation_id: bytes
    topic: str
    partition: int | None = None
    """None lets the broker's clients choose; Spring sends none when one consumer has all partitions"""


@dataclass(frozen=True, slots=True)
class Target:
    """A further tenant that a request is for, and the id by which its client knows that tenant's reply."""

    tenant: TenantName
    correlation_id: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """The headers of a request or an embedding, checked."""

    tenant: TenantName
    reply: ReplyAddress
    deadline_ms: int | None = None
    """absolute, milliseconds since the epoch; None never expires"""
    traceparent: str | None = None
    requested_ms: int | None = None
    """on an embedding, the timestamp of the request's record, milliseconds since the epoch; for figures alone"""
    tracestate: str | None = None
    """what tracing systems add to the traceparent, as W3C has it; goes with one alone"""
    further: tuple[Target, ...] = ()
    """the tenants that the request is for beside :attr:`tenant`; of a :class:`SharedRequest` only"""

    def to_headers(self) -> Headers:
        """The headers of a request or an embedding."""
        headers: list[Header] = [
            (CORRELATION_ID, self.reply.correlation_id),
            (REPLY_TOPIC, self.reply.topic.encode()),
            (TENANT, self.tenant.encode()),
            (CONTENT_TYPE_HEADER, CONTENT_TYPE.encode()),
        ]
        if self.reply.partition is not None:
            headers.append((REPLY_PARTITION, self.reply.partition.to_bytes(4, "big")))
        if self.deadline_ms is not None:
            headers.append((DEADLINE, str(self.deadline_ms).encode()))
        headers += trace_headers(self.traceparent, self.tracestate)
        if self.requested_ms is not None:
            headers.append((REQUESTED, str(self.requested_ms).encode()))
        headers += [(TARGET, b"%s:%s" % (each.tenant.encode(), each.correlation_id)) for each in self.further]
        return tuple(headers)

    @classmethod
    def from_headers(cls, headers: Iterable[Header]) -> Self:
        """The envelope of a record.

        Raises:
            WireError: missing_header or invalid_header, naming it. A traceparent that is not valid is dropped with its
                tracestate, as W3C asks, and so is a time of the request: no answer depends on them.
        """
        headers = tuple(headers)
        found = _last_of_each(headers)
        reply = _reply_address(found)
        traceparent, tracestate = _trace(found)
        return cls(
            tenant=_tenant(found),
            reply=reply,
            deadline_ms=_deadline(found),
            traceparent=traceparent,
            requested_ms=_requested(found),
            tracestate=tracestate,
            further=_further(headers),
        )

    def expired(self, now_ms: int) -> bool:
        """Whether an answer at ``now_ms`` would be worthless."""
        return self.deadline_ms is not None and now_ms >= self.deadline_ms

    def with_deadline(self, deadline_ms: int | None) -> Self:
        """The same envelope with another deadline."""
        return replace(self, deadline_ms=deadline_ms)

    def for_each(self) -> "tuple[Envelope, ...]":
        """This envelope as that of a request for one tenant, once for each tenant that it is for."""
        first = replace(self, further=())
        return (first, *(_for_target(first, each) for each in self.further))


def senders_of(headers: Iterable[Header]) -> tuple[ReplyAddress, ...]:
    """Where an error could be sent for a record whose envelope or value is unusable; empty if nobody can be told."""
    headers = tuple(headers)
    try:
        first = _reply_address(_last_of_each(headers))
    except ManyheadsError:
        return ()
    further = dict.fromkeys(value.partition(b":")[2] for value in _targets(headers)[: MAX_TARGETS - 1])
    ids = [each for each in further if 0 < len(each) <= MAX_HEADER_BYTES]
    return (first, *(replace(first, correlation_id=each) for each in ids))


def without_address(headers: Iterable[Header]) -> Headers:
    """The headers without those that say for which tenants the record is, and by which ids their replies are known."""
    return tuple(header for header in headers if header[0] not in (TENANT, CORRELATION_ID, TARGET))


def address_headers(envelope: Envelope) -> Headers:
    """The two headers that say for which tenant a record for one is, and by which id its reply is known."""
    return ((CORRELATION_ID, envelope.reply.correlation_id), (TENANT, envelope.tenant.encode()))


def reply_headers(address: ReplyAddress, traceparent: str | None = None, tracestate: str | None = None) -> Headers:
    """The headers of a reply."""
    headers = ((CORRELATION_ID, address.correlation_id), (CONTENT_TYPE_HEADER, CONTENT_TYPE.encode()))
    return (*headers, *trace_headers(traceparent, tracestate))


def trace_headers(traceparent: str | None, tracestate: str | None = None) -> Headers:
    """The headers of a trace, which any record may have; none without a traceparent."""
    if traceparent is None:
        return ()
    first = (TRACEPARENT, traceparent.encode())
    return (first,) if tracestate is None else (first, (TRACESTATE, tracestate.encode()))


def trace_of(headers: Iterable[Header]) -> tuple[str | None, str | None]:
    """The traceparent and the tracestate of any record, each None where it is missing or not valid."""
    return _trace(_last_of_each(headers))


def correlation_id_of(headers: Iterable[Header]) -> bytes | None:
    """The correlation id of a reply, if it has one."""
    return _last_of_each(headers).get(CORRELATION_ID)


@dataclass(frozen=True, slots=True)
class DeadLetterReason:
    """Why a record is on a dead-letter topic, and where it came from."""

    topic: str
    partition: int
    offset: int
    code: str
    message: str

    def to_headers(self) -> Headers:
        """The headers that are added to the record's own; numbers big-endian, as Spring Kafka writes them."""
        return (
            (DEAD_LETTER_TOPIC, self.topic.encode()),
            (DEAD_LETTER_PARTITION, self.partition.to_bytes(4, "big")),
            (DEAD_LETTER_OFFSET, self.offset.to_bytes(8, "big")),
            (DEAD_LETTER_CODE, self.code.encode()),
            (DEAD_LETTER_MESSAGE, _cut(self.message)),
        )

    @classmethod
    def from_headers(cls, headers: Iterable[Header]) -> Self:
        """The reason on a dead letter. Raises WireError: missing_header or invalid_header, naming it."""
        found = _last_of_each(headers)
        return cls(
            topic=_required(found, DEAD_LETTER_TOPIC).decode("utf-8", "replace"),
            partition=_number(found, DEAD_LETTER_PARTITION, 4),
            offset=_number(found, DEAD_LETTER_OFFSET, 8),
            code=_required(found, DEAD_LETTER_CODE).decode("utf-8", "replace"),
            message=_required(found, DEAD_LETTER_MESSAGE).decode("utf-8", "replace"),
        )


def _last_of_each(headers: Iterable[Header]) -> dict[str, bytes]:
    return {name: value for name, value in headers if value is not None}


def _required(found: dict[str, bytes], name: str) -> bytes:
    value = found.get(name)
    if value is None:
        raise WireError(ErrorCode.MISSING_HEADER, f"the record lacks the header {name}", header=name)
    if len(value) > MAX_HEADER_BYTES:
        raise WireError(
            ErrorCode.INVALID_HEADER,
            f"the header {name} has {len(value):,} bytes; at most {MAX_HEADER_BYTES:,} are read",
            header=name,
            bytes=len(value),
        )
    return value


def _text(found: dict[str, bytes], name: str, pattern: re.Pattern[str]) -> str:
    text = _required(found, name).decode("utf-8", "replace")
    if not pattern.fullmatch(text):
        raise WireError(
            ErrorCode.INVALID_HEADER, f"the header {name} is {text!r:.60}, not {pattern.pattern}", header=name
        )
    return text


def _number(found: dict[str, bytes], name: str, length: int) -> int:
    raw = _required(found, name)
    if len(raw) != length or raw[0] & 0x80:
        raise WireError(
            ErrorCode.INVALID_HEADER,
            f"the header {name} has {len(raw)} bytes; it is a number from 0 in {length} bytes, big-endian",
            header=name,
            bytes=len(raw),
        )
    return int.from_bytes(raw, "big")


def _cut(text: str) -> bytes:
    """The text as UTF-8 within the limit of a header, its last character whole."""
    return text.encode("utf-8", "replace")[:MAX_HEADER_BYTES].decode("utf-8", "ignore").encode()


def _reply_address(found: dict[str, bytes]) -> ReplyAddress:
    correlation_id = _required(found, CORRELATION_ID)
    if not correlation_id:
        raise WireError(ErrorCode.INVALID_HEADER, f"the header {CORRELATION_ID} is empty", header=CORRELATION_ID)
    topic = _text(found, REPLY_TOPIC, TOPIC_PATTERN)
    partition = _number(found, REPLY_PARTITION, 4) if REPLY_PARTITION in found else None
    return ReplyAddress(correlation_id, topic, partition)


def _tenant(found: dict[str, bytes]) -> TenantName:
    raw = _required(found, TENANT)
    try:
        return tenant(raw.decode("utf-8", "replace"))
    except InvalidRequest as error:
        raise WireError(ErrorCode.INVALID_HEADER, f"the header {TENANT}: {error.message}", header=TENANT) from None


def _for_target(envelope: Envelope, target: Target) -> Envelope:
    return replace(envelope, tenant=target.tenant, reply=replace(envelope.reply, correlation_id=target.correlation_id))


def _targets(headers: Headers) -> list[bytes]:
    return [value for name, value in headers if name == TARGET and value is not None]


def _further(headers: Headers) -> tuple[Target, ...]:
    values = _targets(headers)
    if len(values) >= MAX_TARGETS:
        raise WireError(
            ErrorCode.INVALID_HEADER,
            f"the record has {len(values):,} headers {TARGET}; a request is for at most {MAX_TARGETS:,} tenants",
            header=TARGET,
            targets=len(values),
        )
    return tuple(map(_target, values))


def _target(value: bytes) -> Target:
    found = {TARGET: value, TENANT: value.partition(b":")[0], CORRELATION_ID: value.partition(b":")[2]}
    _required(found, TARGET)
    if not found[CORRELATION_ID]:
        raise WireError(
            ErrorCode.INVALID_HEADER,
            f"a header {TARGET} has no correlation id: it is a tenant, a colon and that",
            header=TARGET,
        )
    try:
        return Target(tenant(found[TENANT].decode("utf-8", "replace")), found[CORRELATION_ID])
    except InvalidRequest as error:
        raise WireError(ErrorCode.INVALID_HEADER, f"a header {TARGET}: {error.message}", header=TARGET) from None


def _deadline(found: dict[str, bytes]) -> int | None:
    return int(_text(found, DEADLINE, EPOCH_MS_PATTERN)) if DEADLINE in found else None


def _trace(found: dict[str, bytes]) -> tuple[str | None, str | None]:
    traceparent = _matching(found, TRACEPARENT, TRACEPARENT_PATTERN)
    return traceparent, None if traceparent is None else _matching(found, TRACESTATE, TRACESTATE_PATTERN)


def _matching(found: dict[str, bytes], name: str, pattern: re.Pattern[str]) -> str | None:
    text = found.get(name, b"").decode("ascii", "replace")
    return text if pattern.fullmatch(text) else None


def _requested(found: dict[str, bytes]) -> int | None:
    text = _matching(found, REQUESTED, EPOCH_MS_PATTERN)
    return None if text is None else int(text)
