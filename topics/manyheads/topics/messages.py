"""The three messages of the pipeline: request, embedding, reply.

A value is a msgpack map with its schema version under ``v``. Unknown fields are ignored, unknown versions refused.
Who sent it, for which tenant, until when and where the reply goes stand in the headers
(:mod:`manyheads.topics.headers`), so that even a value that cannot be read has a sender who can be told.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_serializer, model_validator

from manyheads.topics.codec import pack, unpack
from manyheads.topics.errors import Detail, ErrorCode, ManyheadsError, WireError, error_for
from manyheads.topics.limits import (
    MAX_ENTITIES,
    MAX_ERROR_MESSAGE_CHARACTERS,
    MAX_MESSAGE_BYTES,
    MAX_REQUEST_BYTES,
    MAX_TEXT_CHARACTERS,
)
from manyheads.topics.names import Space, Version
from manyheads.topics.spans import Span, unpack_spans
from manyheads.topics.tensor import Tensor
from manyheads.topics.views import ViewField

Confidence = Annotated[float, Field(ge=0.0, le=1.0)]
Milliseconds = Annotated[float, Field(ge=0.0, le=1e13, allow_inf_nan=False)]
"""bounded so that it always fits the wire as microseconds"""
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000)]


class WireModel(BaseModel):
    """A part of a message: immutable, checked, deaf to unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        arbitrary_types_allowed=True,
        populate_by_name=True,
        ser_json_bytes="base64",
    )


class Message(WireModel):
    """A whole record value."""

    SCHEMA_VERSION: ClassVar[int] = 1
    READS: ClassVar[frozenset[int]] = frozenset({1})
    """the schema versions that this program reads"""
    LIMIT_BYTES: ClassVar[int] = MAX_MESSAGE_BYTES

    def to_bytes(self) -> bytes:
        """The record value. Raises WireError(message_too_large)."""
        return pack({"v": self.SCHEMA_VERSION} | self.fields(), limit=self.LIMIT_BYTES)

    def fields(self) -> dict[str, Any]:
        """The map on the wire, without the version. Fields that are None stay away."""
        return self.model_dump(by_alias=True, exclude_none=True)

    @classmethod
    def from_bytes(cls, value: bytes | None) -> Self:
        """The message of a record value.

        Raises:
            WireError: whatever :func:`manyheads.topics.codec.unpack` raises, unknown_schema_version, or
                malformed_message naming the first wrong field.
        """
        if value is None:
            raise WireError(ErrorCode.MALFORMED_MESSAGE, f"the record has no value where a {cls.__name__} should be")
        return cls.from_fields(unpack(value, limit=cls.LIMIT_BYTES))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The message of an unpacked map. Raises WireError as :meth:`from_bytes` does."""
        version = fields.get("v")
        if not isinstance(version, int) or isinstance(version, bool) or version not in cls.READS:
            known = " and ".join(map(str, sorted(cls.READS)))
            raise WireError(
                ErrorCode.UNKNOWN_SCHEMA_VERSION,
                f"schema version {version!r:.40} of {cls.__name__} is unknown; this program reads version {known}, "
                "so upgrade it first",
                known=known,
            )
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"]))[:100] or "message"
            raise WireError(
                ErrorCode.MALFORMED_MESSAGE,
                f"{cls.__name__}: {where}: {first['msg']}",
                field=where,
                errors=error.error_count(),
            ) from None


class Request(Message):
    """Producer to encoder stage: one text. Reads a :class:`SharedRequest` as well."""

    LIMIT_BYTES: ClassVar[int] = MAX_REQUEST_BYTES
    READS: ClassVar[frozenset[int]] = frozenset({1, 2})

    text: str

    def fields(self) -> dict[str, Any]:
        return {"text": self.text}


class SharedRequest(Request):
    """A text whose headers name further tenants (:class:`manyheads.topics.headers.Target`).

    A version of its own, so that a worker that knows nothing of them refuses it: it would answer the first alone.
    """

    SCHEMA_VERSION: ClassVar[int] = 2


class StageTiming(WireModel):
    """How long one stage had a record: waiting in Kafka and in the worker, then computing.

    On the wire: two whole numbers, microseconds.
    """

    queue_ms: Milliseconds
    compute_ms: Milliseconds

    @model_validator(mode="before")
    @classmethod
    def _from_wire(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) == 2:
            queue_us, compute_us = value
            if isinstance(queue_us, int) and isinstance(compute_us, int):
                return {"queue_ms": queue_us / 1000, "compute_ms": compute_us / 1000}
        return value

    @model_serializer
    def to_wire(self) -> list[int]:
        """The two numbers on the wire."""
        return [round(self.queue_ms * 1000), round(self.compute_ms * 1000)]


class Truncation(WireModel):
    """Set when the text was longer than the encoder reads."""

    tokens: Tokens = Field(alias="t")
    """tokens of the whole text"""
    kept: Tokens = Field(alias="k")
    """tokens that were encoded, special tokens included"""


class Embedding(Message):
    """Encoder stage to head stage: what the tenant's active head reads of one text, and no more."""

    space: Space = Field(alias="s")
    encoder: Version = Field(alias="e")
    view: ViewField = Field(alias="w")
    tensor: Tensor = Field(alias="x")
    """[rows, width]; one row for a pooled view"""
    spans: bytes = Field(alias="o", default=b"")
    """packed character offsets, one span a row (:mod:`manyheads.topics.spans`); empty for a pooled view"""
    shapes: bytes = Field(alias="h", default=b"")
    """one :class:`manyheads.topics.spans.Shape` byte a row; empty for a pooled view"""
    timing: StageTiming = Field(alias="t")
    truncation: Truncation | None = Field(alias="c", default=None)

    @model_validator(mode="after")
    def _rows_agree(self) -> Self:
        if len(self.tensor.shape) != 2:
            raise ValueError(f"the tensor has shape {self.tensor.shape}, not [rows, width]")
        if self.spans and len(self.shapes) != self.tensor.shape[0]:
            raise ValueError(f"{len(self.shapes)} word shapes for {self.tensor.shape[0]} rows")
        return self

    def row_spans(self) -> tuple[Span, ...]:
        """Character offsets of each row. Raises WireError(malformed_message) if they are not one a row."""
        spans = unpack_spans(self.spans)
        if self.spans and len(spans) != self.tensor.shape[0]:
            raise WireError(
                ErrorCode.MALFORMED_MESSAGE,
                f"{len(spans)} spans for {self.tensor.shape[0]} rows",
                spans=len(spans),
                rows=self.tensor.shape[0],
            )
        return spans

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "s": self.space,
            "e": self.encoder,
            "w": str(self.view),
            "x": self.tensor,
            "t": self.timing.to_wire(),
        }
        if self.spans:
            fields |= {"o": self.spans, "h": self.shapes}
        if self.truncation is not None:
            fields["c"] = self.truncation.model_dump(by_alias=True)
        return fields


class Intent(WireModel):
    """What the text asks for. The confidence is calibrated: of answers at 0.8, about 80% are right."""

    name: str = Field(max_length=200)
    confidence: Confidence


class EntitySpan(WireModel):
    """A part of the text: characters ``start`` to ``end``, the end exclusive."""

    label: str = Field(max_length=200)
    start: int = Field(ge=0, le=MAX_TEXT_CHARACTERS)
    end: int = Field(gt=0, le=MAX_TEXT_CHARACTERS)
    confidence: Confidence

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"an entity from {self.start} to {self.end} holds no character")
        return self


class Versions(WireModel):
    """Which models made an answer."""

    head: Version
    encoder: Version
    space: Space


class Timings(WireModel):
    """Where the time went, stage by stage."""

    encoder: StageTiming
    head: StageTiming


class Prediction(WireModel):
    """A head's answer to one text."""

    intents: tuple[Intent, ...] = Field(min_length=1, max_length=10)
    """the most likely first"""
    entities: tuple[EntitySpan, ...] = Field(default=(), max_length=MAX_ENTITIES)
    """rising, never overlapping"""
    versions: Versions
    timings: Timings
    truncation: Truncation | None = None


class Failure(WireModel):
    """Why there is no prediction."""

    code: str = Field(max_length=64)
    message: str = Field(max_length=MAX_ERROR_MESSAGE_CHARACTERS)
    details: dict[str, Detail] = Field(default_factory=dict)

    @classmethod
    def of(cls, error: ManyheadsError) -> Self:
        """The failure that carries ``error``, whatever is in it: a sender is never left without an answer."""
        details = {name: _fitting(value) for name, value in error.details.items() if value is not None}
        return cls(code=error.code, message=_fitting_text(error.message), details=details)

    def error(self) -> ManyheadsError:
        """The exception to raise at the sender."""
        return error_for(self.code, self.message, self.details)


def _fitting(detail: Detail) -> Detail:
    """The detail as msgpack can carry it."""
    if isinstance(detail, str):
        return _fitting_text(detail)
    if isinstance(detail, int) and not -(1 << 63) <= detail < 1 << 63:
        return _fitting_text(hex(detail))
    return detail


def _fitting_text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:MAX_ERROR_MESSAGE_CHARACTERS]


class Reply(Message):
    """A stage to the producer: a prediction or a failure, never both."""

    prediction: Prediction | None = None
    failure: Failure | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.prediction is None) == (self.failure is None):
            raise ValueError("a reply has either a prediction or a failure")
        return self
