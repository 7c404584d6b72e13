"""msgpack in and out, within limits. No other serialisation is ever read."""

from collections.abc import Mapping
from typing import Any

import msgpack

from manyheads.topics.errors import ErrorCode, WireError
from manyheads.topics.limits import MAX_ARRAY_ELEMENTS, MAX_MESSAGE_BYTES, MAX_NESTING
from manyheads.topics.tensor import TENSOR_EXT_TYPE, Tensor

CONTENT_TYPE = "application/msgpack"

_BUFFER_BYTES = 16 * 1024
"""to begin with: msgpack's own choice, a megabyte, may be taken from the system for every message and given back"""


def _default(value: object) -> msgpack.ExtType:
    if isinstance(value, Tensor):
        return msgpack.ExtType(TENSOR_EXT_TYPE, value.to_bytes())
    raise TypeError(f"{type(value).__name__} has no place on the wire")


def _ext_hook(code: int, payload: bytes) -> Tensor | msgpack.ExtType:
    # An ext type of a later version may stand in a field that this version ignores.
    return Tensor.from_bytes(payload) if code == TENSOR_EXT_TYPE else msgpack.ExtType(code, payload)


def pack(message: Mapping[str, Any], limit: int = MAX_MESSAGE_BYTES) -> bytes:
    """One message as bytes. Raises WireError(message_too_large) beyond ``limit`` bytes."""
    packed: bytes = msgpack.packb(message, default=_default, use_bin_type=True, buf_size=_BUFFER_BYTES)
    if len(packed) > limit:
        raise WireError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the message has {len(packed):,} bytes; at most {limit:,} may be sent, so shorten its text",
            bytes=len(packed),
            limit=limit,
        )
    return packed


def unpack(value: bytes, limit: int = MAX_MESSAGE_BYTES) -> dict[str, Any]:
    """The map that ``value`` holds.

    Raises:
        WireError: message_too_large, nesting_too_deep, tensor_too_large, or malformed_message for anything that is
            not one whole msgpack map.
    """
    if len(value) > limit:
        raise WireError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the record has {len(value):,} bytes; at most {limit:,} are read",
            bytes=len(value),
            limit=limit,
        )
    try:
        message = msgpack.unpackb(
            value,
            ext_hook=_ext_hook,
            raw=False,
            strict_map_key=True,
            max_str_len=limit,
            max_bin_len=limit,
            max_ext_len=limit,
            max_array_len=MAX_ARRAY_ELEMENTS,
            # Every entry takes two bytes at least, so a longer map cannot be whole.
            max_map_len=len(value),
        )
    except WireError:
        raise
    except (msgpack.StackError, RecursionError):
        raise _too_deep() from None
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise WireError(
            ErrorCode.MALFORMED_MESSAGE,
            f"{len(value):,} bytes are no msgpack message ({type(error).__name__}); "
            "does another program write to this topic?",
            bytes=len(value),
        ) from None
    if not isinstance(message, dict):
        raise WireError(
            ErrorCode.MALFORMED_MESSAGE, f"a message is a map, not {type(message).__name__}", bytes=len(value)
        )
    _check_depth(message)
    return message


def _check_depth(message: dict[str, Any]) -> None:
    level: list[Any] = [message]
    for _ in range(MAX_NESTING):
        # msgpack makes no subclasses: the exact type tells, in a third of isinstance's time.
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> WireError:
    return WireError(
        ErrorCode.NESTING_TOO_DEEP,
        f"the message is nested more than {MAX_NESTING} levels deep",
        limit=MAX_NESTING,
    )
