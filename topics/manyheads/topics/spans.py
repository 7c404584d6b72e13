"""Character offsets and word shapes: what a head needs to name entities without a tokenizer.

Spans are packed as pairs of variable-length integers (gap from the previous end, length), 7 bits a byte, low first:
two bytes a word in ordinary text.
"""

from collections.abc import Iterable, Sequence
from enum import IntFlag

from manyheads.topics.errors import ErrorCode, WireError
from manyheads.topics.limits import MAX_TEXT_CHARACTERS, MAX_TOKENS

_MAX_NUMBER_BYTES = 4
_MAX_PACKED_BYTES = MAX_TOKENS * 2 * _MAX_NUMBER_BYTES

Span = tuple[int, int]
"""Start and end in characters of the text; the end is exclusive."""


class Shape(IntFlag):
    """What an uncased encoder does not see of a word, one byte a row."""

    NONE = 0
    CAPITALISED = 1
    """the first character is upper case"""
    UPPER = 2
    """more than one cased character, all upper case"""
    DIGIT = 4
    """has a digit"""
    PUNCTUATION = 8
    """has no letter and no digit"""
    JOINED = 16
    """no white space between this word and the one before"""


def pack_spans(spans: Iterable[Span]) -> bytes:
    """Spans that rise and do not overlap, packed. Raises ValueError if they do not."""
    packed = bytearray()
    previous = 0
    for start, end in spans:
        if not previous <= start <= end:
            raise ValueError(f"span ({start}, {end}) after position {previous}: spans must rise and not overlap")
        for number in (start - previous, end - start):
            rest = number
            while rest > 0x7F:
                packed.append(0x80 | (rest & 0x7F))
                rest >>= 7
            packed.append(rest)
        previous = end
    return bytes(packed)


def unpack_spans(packed: bytes) -> tuple[Span, ...]:
    """The spans of :func:`pack_spans`. Raises WireError(malformed_message) for any other bytes."""
    if len(packed) > _MAX_PACKED_BYTES:
        raise _malformed(f"{len(packed):,} bytes of character offsets are more than {MAX_TOKENS} pairs")
    numbers: list[int] = []
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift >= 7 * _MAX_NUMBER_BYTES:
                raise _malformed("a character offset is out of range")
            continue
        numbers.append(number)
        number = shift = 0
    if shift or len(numbers) % 2 or len(numbers) > 2 * MAX_TOKENS:
        raise _malformed(f"{len(packed)} bytes of character offsets are not whole pairs, at most {MAX_TOKENS}")
    spans: list[Span] = []
    end = 0
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        start = end + gap
        end = start + length
        spans.append((start, end))
    if end > MAX_TEXT_CHARACTERS:
        raise _malformed(f"a character offset of {end} is beyond any text")
    return tuple(spans)


def word_shapes(text: str, spans: Sequence[Span]) -> bytes:
    """One :class:`Shape` byte for each span of the text."""
    shapes = bytearray()
    previous_end = -1
    for start, end in spans:
        shape = _shape(text[start:end])
        shapes.append(shape | Shape.JOINED.value if start == previous_end else shape)
        previous_end = end
    return bytes(shapes)


def _shape(word: str) -> int:
    if word.isalpha() and word.islower():  # as most are
        return 0
    shape = 0
    # Of plain numbers: to combine flags takes ten times as long.
    if word[:1].isupper():
        shape |= Shape.CAPITALISED.value
    if len(word) > 1 and word.isupper():
        shape |= Shape.UPPER.value
    if any(character.isdigit() for character in word):
        shape |= Shape.DIGIT.value
    if not any(character.isalnum() for character in word):
        shape |= Shape.PUNCTUATION.value
    return shape


def _malformed(message: str) -> WireError:
    return WireError(ErrorCode.MALFORMED_MESSAGE, f"{message}; was this record cut, or written by another program?")
