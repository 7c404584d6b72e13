"""Wordpieces, and where they stand in the text."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.encoder_worker.build.minilm import minilm_file
from manyheads.encoder_worker.tokenizer import TextTokenizer
from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidRequest
from manyheads.topics.limits import MAX_TOKENS
from manyheads.topics.messages import Truncation
from manyheads.topics.spans import pack_spans, unpack_spans

_TOKENIZER = TextTokenizer.load(minilm_file("tokenizer.json"), MAX_TOKENS)
_CLS, _SEP = 101, 102


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("move 40 euros, José!", ["move", "40", "euros", ",", "José", "!"]),
        ("  don't   e-mail\tU.S.\n", ["don", "'", "t", "e", "-", "mail", "U", ".", "S", "."]),
        ("hi 😀 there \U0001d4canicode", ["hi", "😀", "there", "\U0001d4canicode"]),
        ("cafe\u0301 re\u0301sume\u0301.", ["cafe\u0301", "re\u0301sume\u0301", "."]),
        ("東京タワー go", ["東", "京", "タワー", "go"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("I ❤\ufe0f it", ["I", "❤\ufe0f", "it"]),
        ("a\u200bb c", ["a\u200bb", "c"]),
        ("İstanbul", ["İstanbul"]),
        ("x" * 120 + " b", ["x" * 120, "b"]),
    ],
)
def test_words_are_spans_of_the_original_text(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in _TOKENIZER.tokenise(text).words().spans] == words


def test_a_word_has_its_first_wordpiece() -> None:
    tokenised = _TOKENIZER.tokenise("rescheduling gigabytes now")
    assert tokenised.words().first_pieces == (0, 4, 7)
    assert [tokenised.piece_spans()[i][0] for i in (0, 4, 7)] == [0, 13, 23]


def test_pieces_of_one_character_share_it_without_overlap() -> None:
    spans = _TOKENIZER.tokenise("한국").piece_spans()
    assert spans == ((0, 1), (1, 1), (1, 1), (1, 2), (2, 2), (2, 2))


@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_spans_rise_within_any_text_and_survive_the_wire(text: str) -> None:
    with suppress(InvalidRequest):  # where the tokenizer sees nothing
        _assert_spans_rise(text)


def _assert_spans_rise(text: str) -> None:
    tokenised = _TOKENIZER.tokenise(text)
    words = tokenised.words()
    assert len(tokenised.piece_spans()) == tokenised.pieces == len(tokenised.ids) - 2
    assert words.first_pieces[0] == 0
    assert len(words.spans) == len(words.first_pieces)
    for spans in (words.spans, tokenised.piece_spans()):
        assert unpack_spans(pack_spans(spans)) == spans
        assert spans[-1][1] <= len(text)


@pytest.mark.parametrize(("words", "truncation"), [(248, None), (249, Truncation(tokens=251, kept=250))])
def test_a_text_is_cut_at_250_tokens(words: int, truncation: Truncation | None) -> None:
    tokenised = _TOKENIZER.tokenise("go " * words)
    assert len(tokenised.ids) == 250
    assert tokenised.ids[0] == _CLS
    assert tokenised.ids[-1] == _SEP
    assert tokenised.truncation == truncation
    assert len(tokenised.words().spans) == 248


def test_a_word_that_is_cut_ends_where_its_last_kept_piece_does() -> None:
    text = "go " * 247 + "rescheduling"
    assert text[slice(*_TOKENIZER.tokenise(text).words().spans[-1])] == "res"


def test_special_tokens_in_a_text_are_text() -> None:
    tokenised = _TOKENIZER.tokenise("a [SEP] b [CLS]")
    assert _SEP not in tokenised.ids[1:-1]
    assert _CLS not in tokenised.ids[1:-1]


@pytest.mark.parametrize("text", ["\u200b", "\ufeff", "\u0301", "\u00ad \u200d"])
def test_a_text_of_which_the_tokenizer_sees_nothing_is_empty(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        _TOKENIZER.tokenise(text)
    assert caught.value.code is ErrorCode.TEXT_EMPTY
    assert caught.value.details["characters"] == len(text)


@pytest.mark.parametrize("content", ["", "{", '{"version": "1.0"}', "\x00\x01"])
def test_a_file_that_is_no_tokenizer_is_corrupt(tmp_path: Path, content: str) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(content)
    with pytest.raises(ArtifactError) as caught:
        TextTokenizer.load(file, MAX_TOKENS)
    assert caught.value.code is ErrorCode.ARTIFACT_CORRUPT
