"""What a request's text may be."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.topics.errors import ErrorCode, InvalidRequest
from manyheads.topics.limits import MAX_REQUEST_BYTES, MAX_TEXT_CHARACTERS
from manyheads.topics.messages import Request
from manyheads.topics.text import checked_text


def refused(text: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        checked_text(text)  # type: ignore[arg-type]
    return caught.value


@given(st.text())
def test_text_is_unchanged_or_refused(text: str) -> None:
    allowed = "\t\n\r\x85"
    bad = any(unicodedata.category(c) in ("Cc", "Cs") and c not in allowed for c in text) or not text.strip()
    if bad:
        refused(text)
    else:
        assert checked_text(text) == text


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u3000", "\u2028"])
def test_nothing_visible(text: str) -> None:
    assert refused(text).code is ErrorCode.TEXT_EMPTY


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x80", "\x9f"])
def test_a_control_character_is_pointed_at(character: str) -> None:
    error = refused(f"ab{character}c")
    assert error.code is ErrorCode.TEXT_CONTROL_CHARACTER
    assert error.details == {"position": 2, "code_point": ord(character)}
    assert f"U+{ord(character):04X} at position 2" in error.message


@pytest.mark.parametrize("character", [chr(0xD800), chr(0xDFFF)])
def test_a_lone_surrogate_is_pointed_at(character: str) -> None:
    error = refused(f"abc{character}")
    assert (error.code, error.details) == (ErrorCode.TEXT_NOT_UNICODE, {"position": 3})


@pytest.mark.parametrize(
    "text", ["a\tb", "a\r\nb", "a\x85b", "naïve café", "\U0001f600", "e\u0301", "\u200bx", "a\u2028b"]
)
def test_real_text_passes(text: str) -> None:
    assert checked_text(text) == text


def test_the_limit_counts_characters() -> None:
    assert checked_text("x" * MAX_TEXT_CHARACTERS)
    error = refused("x" * 1_000_000)
    assert error.code is ErrorCode.TEXT_TOO_LONG
    assert error.details == {"characters": 1_000_000, "limit": MAX_TEXT_CHARACTERS}
    assert "1,000,000" in error.message


def test_the_longest_text_of_the_widest_characters_fits_a_request() -> None:
    text = checked_text("\U0001f600" * MAX_TEXT_CHARACTERS)
    assert len(Request(text=text).to_bytes()) <= MAX_REQUEST_BYTES


@pytest.mark.parametrize("value", [None, b"bytes", 3, ["a"]])
def test_only_a_str_is_text(value: object) -> None:
    assert refused(value).code is ErrorCode.INVALID_ARGUMENT


@given(st.text(st.characters(categories=("Cc", "Cs"))))
def test_a_refusal_never_quotes_the_text(text: str) -> None:
    assert not set(refused(text).message) & set("\ud800\x00\x1b")
