"""A tensor on the wire: one msgpack ext type.

Layout, little-endian: dtype (u8), number of dimensions (u8), each dimension (u32), for int8 one float32 scale per row
(a row is everything but the last dimension), then the elements in row-major order. Nothing here needs numpy;
:mod:`manyheads.topics.arrays` converts.
"""

import math
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Self

from manyheads.topics.errors import ErrorCode, WireError
from manyheads.topics.limits import MAX_TENSOR_DIMENSIONS, MAX_TENSOR_ELEMENTS

TENSOR_EXT_TYPE = 1
SCALE_BYTES = 4


class Precision(Enum):
    """Element type of a tensor: name, code on the wire, bytes per element."""

    FLOAT32 = ("float32", 0, 4)
    FLOAT16 = ("float16", 1, 2)
    INT8 = ("int8", 2, 1)

    def __init__(self, label: str, code: int, item_bytes: int) -> None:
        self.label = label
        self.code = code
        self.item_bytes = item_bytes


_BY_CODE = {precision.code: precision for precision in Precision}


def _malformed(message: str, **details: str | int) -> WireError:
    return WireError(
        ErrorCode.MALFORMED_MESSAGE,
        f"{message}; was this record cut, or written by another program?",
        **details,
    )


@dataclass(frozen=True, slots=True)
class Tensor:
    """Elements as they travel. ``scales`` holds one float32 per row for int8 and is empty otherwise."""

    precision: Precision
    shape: tuple[int, ...]
    data: bytes | memoryview
    scales: bytes | memoryview = b""

    @property
    def rows(self) -> int:
        """Rows: the product of all dimensions but the last."""
        return math.prod(self.shape[:-1])

    def to_bytes(self) -> bytes:
        """The payload of the ext type."""
        header = struct.pack(f"<BB{len(self.shape)}I", self.precision.code, len(self.shape), *self.shape)
        return b"".join((header, self.scales, self.data))

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """The tensor of an ext payload; ``data`` and ``scales`` are views into it, not copies.

        Raises:
            WireError: malformed_message or tensor_too_large, before anything is allocated.
        """
        if len(payload) < 2:
            raise _malformed(f"a tensor of {len(payload)} bytes has no header", bytes=len(payload))
        precision = _BY_CODE.get(payload[0])
        dimensions = payload[1]
        if precision is None:
            raise _malformed(f"a tensor has the unknown element type {payload[0]}", element_type=payload[0])
        if not 1 <= dimensions <= MAX_TENSOR_DIMENSIONS:
            raise _malformed(
                f"a tensor has {dimensions} dimensions, not 1 to {MAX_TENSOR_DIMENSIONS}",
                dimensions=dimensions,
            )
        start = 2 + 4 * dimensions
        if len(payload) < start:
            raise _malformed(f"a tensor of {len(payload)} bytes is cut within its shape", bytes=len(payload))
        shape = struct.unpack_from(f"<{dimensions}I", payload, 2)
        elements = math.prod(shape)
        if not elements:
            raise _malformed(f"a tensor of shape {shape} has no element")
        if elements > MAX_TENSOR_ELEMENTS:
            raise WireError(
                ErrorCode.TENSOR_TOO_LARGE,
                f"a tensor of shape {shape} claims {elements:,} elements; at most {MAX_TENSOR_ELEMENTS:,} are read",
                elements=elements,
                limit=MAX_TENSOR_ELEMENTS,
            )
        rows = math.prod(shape[:-1])
        scale_bytes = rows * SCALE_BYTES if precision is Precision.INT8 else 0
        if scale_bytes > len(payload) or len(payload) - start != scale_bytes + elements * precision.item_bytes:
            raise _malformed(
                f"a {precision.label} tensor of shape {shape} has {len(payload) - start:,} bytes, "
                f"not {scale_bytes + elements * precision.item_bytes:,}",
                bytes=len(payload) - start,
            )
        body = memoryview(payload)
        return cls(precision, shape, body[start + scale_bytes :], body[start : start + scale_bytes])
