"""JSON schemas of the record headers, for the AsyncAPI document.

A Kafka header is bytes. One that is text stands as that text in the objects which these schemas describe, any other as
Base64, and one that a record may have many times as a list.
"""

from pydantic import TypeAdapter

from manyheads.topics import headers
from manyheads.topics.asyncapi_schemas import Schema, binary
from manyheads.topics.codec import CONTENT_TYPE
from manyheads.topics.limits import MAX_HEADER_BYTES, MAX_TARGETS
from manyheads.topics.names import Tenant


def header_schemas() -> dict[str, Schema]:
    """The schema of each kind of record's headers, by name."""
    request = _ADDRESS | _TRACE | {headers.DEADLINE: _epoch_ms("when an answer becomes worthless, never if absent")}
    shared = request | {headers.TARGET: _TARGETS}
    embedding = request | {headers.REQUESTED: _epoch_ms("the time of the request's record; for figures alone")}
    required = [headers.CORRELATION_ID, headers.REPLY_TOPIC, headers.TENANT]
    return {
        "RequestHeaders": _object("Who asks, for whom, until when, and where the reply goes.", request, required),
        "SharedRequestHeaders": _object(
            "As those of a request, and further tenants.", shared, [*required, headers.TARGET]
        ),
        "EmbeddingHeaders": _object(
            "As those of a request for one tenant, and when that was made.", embedding, required
        ),
        "ReplyHeaders": _object(
            "Which request this answers.",
            {headers.CORRELATION_ID: _CORRELATION_ID} | _CONTENT | _TRACE,
            [headers.CORRELATION_ID],
        ),
        "DeadLetterHeaders": _object(
            "Why the record could not be processed and where it was, beside all headers that it had.",
            _REASON,
            list(_REASON),
        ),
    }


def _object(what: str, properties: dict[str, Schema], required: list[str]) -> Schema:
    return {"type": "object", "description": what, "properties": properties, "required": required}


def _text(what: str, pattern: str) -> Schema:
    return {"type": "string", "description": what, "pattern": f"^{pattern}$"}


def _number(what: str, length: int) -> Schema:
    base64_characters = -(-length // 3) * 4
    return binary(
        f"{what}; a number from 0 in {length} bytes, big-endian",
        minLength=base64_characters,
        maxLength=base64_characters,
    )


def _epoch_ms(what: str) -> Schema:
    return _text(f"{what}; milliseconds since the epoch in decimal digits", headers.EPOCH_MS_PATTERN.pattern)


_CORRELATION_ID = binary(f"any bytes, 1 to {MAX_HEADER_BYTES:,}; the reply has the same", minLength=4)
_CONTENT = {headers.CONTENT_TYPE_HEADER: {"type": "string", "const": CONTENT_TYPE, "description": "not read"}}
_TENANT = TypeAdapter(Tenant).json_schema() | {"description": "the tenant that the text is for"}
_ADDRESS: dict[str, Schema] = {
    headers.CORRELATION_ID: _CORRELATION_ID,
    headers.REPLY_TOPIC: _text("the topic that gets the reply", headers.TOPIC_PATTERN.pattern),
    headers.REPLY_PARTITION: _number("the partition that gets the reply, any if absent", 4),
    headers.TENANT: _TENANT,
    **_CONTENT,
}
_TRACE = {
    headers.TRACEPARENT: _text("W3C Trace Context; ignored if not valid", headers.TRACEPARENT_PATTERN.pattern),
    headers.TRACESTATE: _text("W3C Trace Context", headers.TRACESTATE_PATTERN.pattern),
}
_TARGETS: Schema = {
    "type": "array",
    "description": "A header for each further tenant: its name, a colon, the correlation id of its reply.",
    "items": binary("tenant, colon, correlation id"),
    "minItems": 1,
    "maxItems": MAX_TARGETS - 1,
}
_REASON: dict[str, Schema] = {
    headers.DEAD_LETTER_TOPIC: _text("the topic that it was on", headers.TOPIC_PATTERN.pattern),
    headers.DEAD_LETTER_PARTITION: _number("the partition that it was on", 4),
    headers.DEAD_LETTER_OFFSET: _number("the offset that it had", 8),
    headers.DEAD_LETTER_CODE: {"type": "string", "description": "the error's code"},
    headers.DEAD_LETTER_MESSAGE: {"type": "string", "description": "what was wrong with it"},
}
