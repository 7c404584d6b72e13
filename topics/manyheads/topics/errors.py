"""Every error of the pipeline: its code, whom it blames, and the tree of exceptions that carry it.

The tree::

    ManyheadsError
    ├── InvalidRequest      the caller's text, name or argument cannot be used
    ├── WireError           bytes that are no message of ours
    ├── RoutingError        nobody to send this to: ring, tenant or head
    ├── ArtifactError       a model file that is missing, damaged or made for another embedding space
    ├── DeadlineExceeded    the answer would have come too late
    ├── BrokerError         Kafka cannot be reached, refuses us, or lacks our topics
    ├── Overloaded          more in flight than allowed
    ├── ClientClosed        the SDK client is not open
    ├── InvalidSettings     a setting that names itself and says what it takes
    └── InternalError       a defect of ours: the stage's code failed, or the worker gave up

Every exception carries ``code`` (stable, for machines), a message (for people; says what to do) and ``details``
(the numbers).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

Detail = str | int | float | bool | None
Details = Mapping[str, Detail]


class ErrorCode(StrEnum):
    """Stable codes, as they stand in replies, on dead letters and in metrics."""

    # the caller
    TEXT_EMPTY = "text_empty"
    TEXT_TOO_LONG = "text_too_long"
    TEXT_NOT_UNICODE = "text_not_unicode"
    TEXT_CONTROL_CHARACTER = "text_control_character"
    INVALID_NAME = "invalid_name"
    INVALID_ARGUMENT = "invalid_argument"
    # the wire
    MALFORMED_MESSAGE = "malformed_message"
    UNKNOWN_SCHEMA_VERSION = "unknown_schema_version"
    NESTING_TOO_DEEP = "nesting_too_deep"
    TENSOR_TOO_LARGE = "tensor_too_large"
    MESSAGE_TOO_LARGE = "message_too_large"
    MISSING_HEADER = "missing_header"
    INVALID_HEADER = "invalid_header"
    TENANT_MISMATCH = "tenant_mismatch"
    # routing
    UNKNOWN_RING = "unknown_ring"
    UNKNOWN_TENANT = "unknown_tenant"
    NO_ACTIVE_HEAD = "no_active_head"
    # models
    ARTIFACT_MISSING = "artifact_missing"
    ARTIFACT_CORRUPT = "artifact_corrupt"
    SPACE_MISMATCH = "space_mismatch"
    # time and load
    DEADLINE_EXCEEDED = "deadline_exceeded"
    OVERLOADED = "overloaded"
    # the outside world
    BROKER_UNREACHABLE = "broker_unreachable"
    ACCESS_DENIED = "access_denied"
    TOPICS_MISSING = "topics_missing"
    INVALID_SETTINGS = "invalid_settings"
    CLIENT_CLOSED = "client_closed"
    # ours
    INTERNAL = "internal"
    WORKER_HALTED = "worker_halted"


class ManyheadsError(Exception):
    """The root of every error that manyheads raises.

    Attributes:
        code: which error this is; stable across versions.
        message: one sentence for a person, with what to do.
        details: the numbers behind it, flat and small enough for a log line.
    """

    codes: ClassVar[frozenset[ErrorCode]] = frozenset()

    def __init__(self, code: ErrorCode, message: str, /, **details: Detail) -> None:
        super().__init__(f"{message} [{code}]")
        self.code = code
        self.message = message
        self.details: dict[str, Detail] = details

    def __reduce__(self) -> tuple[object, tuple[object, ...], object]:
        return (_rebuild, (type(self), self.code, self.message, self.details), None)


def _rebuild(kind: type[ManyheadsError], code: ErrorCode, message: str, details: dict[str, Detail]) -> ManyheadsError:
    return kind(code, message, **details)


class InvalidRequest(ManyheadsError):  # noqa: N818
    """The caller's text, name or argument cannot be used; sending it again changes nothing."""

    codes = frozenset(
        {
            ErrorCode.TEXT_EMPTY,
            ErrorCode.TEXT_TOO_LONG,
            ErrorCode.TEXT_NOT_UNICODE,
            ErrorCode.TEXT_CONTROL_CHARACTER,
            ErrorCode.INVALID_NAME,
            ErrorCode.INVALID_ARGUMENT,
        }
    )


class WireError(ManyheadsError):
    """Bytes or headers that are no message of ours, or one that is over a limit."""

    codes = frozenset(
        {
            ErrorCode.MALFORMED_MESSAGE,
            ErrorCode.UNKNOWN_SCHEMA_VERSION,
            ErrorCode.NESTING_TOO_DEEP,
            ErrorCode.TENSOR_TOO_LARGE,
            ErrorCode.MESSAGE_TOO_LARGE,
            ErrorCode.MISSING_HEADER,
            ErrorCode.INVALID_HEADER,
            ErrorCode.TENANT_MISMATCH,
        }
    )


class RoutingError(ManyheadsError):
    """There is no such ring or tenant, or the tenant has no head that could answer."""

    codes = frozenset({ErrorCode.UNKNOWN_RING, ErrorCode.UNKNOWN_TENANT, ErrorCode.NO_ACTIVE_HEAD})


class ArtifactError(ManyheadsError):
    """A model file is missing, differs from its digest, or was made for another embedding space."""

    codes = frozenset({ErrorCode.ARTIFACT_MISSING, ErrorCode.ARTIFACT_CORRUPT, ErrorCode.SPACE_MISMATCH})


class DeadlineExceeded(ManyheadsError):  # noqa: N818
    """No answer before the deadline."""

    codes = frozenset({ErrorCode.DEADLINE_EXCEEDED})


class BrokerError(ManyheadsError):
    """Kafka cannot be reached, refuses us, or does not have our topics."""

    codes = frozenset({ErrorCode.BROKER_UNREACHABLE, ErrorCode.ACCESS_DENIED, ErrorCode.TOPICS_MISSING})


class Overloaded(ManyheadsError):  # noqa: N818
    """More requests in flight than allowed; slow down and try again."""

    codes = frozenset({ErrorCode.OVERLOADED})


class ClientClosed(ManyheadsError):  # noqa: N818
    """The SDK client is not open."""

    codes = frozenset({ErrorCode.CLIENT_CLOSED})


class InvalidSettings(ManyheadsError):  # noqa: N818
    """A setting is missing or wrong; the message names it."""

    codes = frozenset({ErrorCode.INVALID_SETTINGS})


class InternalError(ManyheadsError):
    """A defect on our side; the same request may succeed later."""

    codes = frozenset({ErrorCode.INTERNAL, ErrorCode.WORKER_HALTED})


_BY_CODE: dict[ErrorCode, type[ManyheadsError]] = {
    code: kind
    for kind in (
        InvalidRequest,
        WireError,
        RoutingError,
        ArtifactError,
        DeadlineExceeded,
        BrokerError,
        Overloaded,
        ClientClosed,
        InvalidSettings,
        InternalError,
    )
    for code in kind.codes
}

# Failures that say the stage or what feeds it is broken, not that one sender made a mistake. When nearly all
# records fail so, a worker stops: draining the topic into dead letters would help nobody.
SYSTEMIC_CODES: frozenset[ErrorCode] = frozenset(
    {
        ErrorCode.MALFORMED_MESSAGE,
        ErrorCode.UNKNOWN_SCHEMA_VERSION,
        ErrorCode.ARTIFACT_MISSING,
        ErrorCode.ARTIFACT_CORRUPT,
        ErrorCode.SPACE_MISMATCH,
        ErrorCode.TOPICS_MISSING,
        ErrorCode.INTERNAL,
    }
)


def error_for(code: str, message: str, details: Details | None = None) -> ManyheadsError:
    """The exception for a code that came over the wire; a code of a later version becomes an InternalError."""
    try:
        known = ErrorCode(code)
    except ValueError:
        return InternalError(ErrorCode.INTERNAL, f"{code}: {message}", unknown_code=code)
    return _BY_CODE[known](known, message, **dict(details or {}))
