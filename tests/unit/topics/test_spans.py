"""Character offsets and word shapes."""

import pytest
from hypothesis import given

from manyheads.topics.errors import ErrorCode, WireError
from manyheads.topics.spans import Shape, Span, pack_spans, unpack_spans, word_shapes
from tests.unit.topics.strategies import span_lists


@given(span_lists())
def test_spans_survive_the_wire(spans: list[Span]) -> None:
    assert unpack_spans(pack_spans(spans)) == tuple(spans)


def test_ordinary_words_take_two_bytes_each() -> None:
    assert pack_spans([(0, 4), (5, 7), (8, 13)]) == bytes([0, 4, 1, 2, 1, 5])


@pytest.mark.parametrize("spans", [[(5, 4)], [(0, 4), (3, 6)], [(-1, 2)], [(4, 6), (0, 1)]])
def test_spans_rise_and_do_not_overlap(spans: list[Span]) -> None:
    with pytest.raises(ValueError, match="rise"):
        pack_spans(spans)


@pytest.mark.parametrize(
    "packed",
    [b"\x00", b"\x00\x80", b"\x80", b"\xff\xff\xff\xff\x01\x00", b"\x00\xff\x7f", b"\x00\x01" * 251],
    ids=["half a pair", "cut", "cut at once", "five bytes", "beyond any text", "too many"],
)
def test_other_bytes_are_malformed(packed: bytes) -> None:
    with pytest.raises(WireError) as caught:
        unpack_spans(packed)
    assert caught.value.code is ErrorCode.MALFORMED_MESSAGE


def test_word_shapes() -> None:
    text = "Fly LHR-Rome 22B, now"
    spans = [(0, 3), (4, 7), (7, 8), (8, 12), (13, 16), (16, 17), (18, 21)]
    assert [Shape(byte) for byte in word_shapes(text, spans)] == [
        Shape.CAPITALISED,
        Shape.CAPITALISED | Shape.UPPER,
        Shape.PUNCTUATION | Shape.JOINED,
        Shape.CAPITALISED | Shape.JOINED,
        Shape.DIGIT | Shape.UPPER,
        Shape.PUNCTUATION | Shape.JOINED,
        Shape.NONE,
    ]
