"""Text to wordpieces, and where each stands in the text."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidRequest
from manyheads.topics.messages import Truncation
from manyheads.topics.spans import Span

SPECIAL_TOKENS = 2
"""One before every text and one behind it."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, as the tokenizer splits it: at white space, punctuation and every CJK ideograph."""

    first_pieces: tuple[int, ...]
    """which wordpiece each begins with"""
    spans: tuple[Span, ...]


class TokenisedText:
    """The wordpieces of one text, cut to what the encoder reads.

    Attributes:
        ids: the vocabulary's numbers, special tokens included.
        pieces: how many there are without the special tokens.
        truncation: set if the text was longer.
    """

    __slots__ = ("_encoding", "_text", "ids", "pieces", "truncation")

    def __init__(self, text: str, encoding: Any, ids: Sequence[int], truncation: Truncation | None) -> None:
        self.ids = ids
        self.pieces = len(ids) - SPECIAL_TOKENS
        self.truncation = truncation
        self._text = text
        self._encoding = encoding

    def piece_spans(self) -> tuple[Span, ...]:
        """The characters of each wordpiece, rising; pieces of one character share it: the first has it."""
        return self._in_text(self._encoding.offsets[: self.pieces])

    def words(self) -> Words:
        """The words that have a wordpiece before the cut, each from its first such piece to its last."""
        word_ids = self._encoding.word_ids[: self.pieces]
        offsets = self._encoding.offsets
        first = [i for i, word in enumerate(word_ids) if i == 0 or word != word_ids[i - 1]]
        last = [*(i - 1 for i in first[1:]), self.pieces - 1]
        spans = self._in_text((offsets[i][0], offsets[j][1]) for i, j in zip(first, last, strict=True))
        return Words(tuple(first), spans)

    def _in_text(self, offsets: Iterable[Span]) -> tuple[Span, ...]:
        """Offsets that rise, with the combining marks that the tokenizer strips behind a character."""
        text = self._text
        spans: list[Span] = []
        position = 0
        for start, end in offsets:
            start = max(start, position)  # noqa: PLW2901
            position = max(end, start)
            while position < len(text) and text[position] > "\x7f" and unicodedata.category(text[position]) == "Mn":
                position += 1
            spans.append((start, position))
        return tuple(spans)


class TextTokenizer:
    """BERT's wordpieces, from a ``tokenizer.json``; what the file says of truncation and padding does not count."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # "[SEP]" in a tenant's text is punctuation and a word
        self._tokenizer = tokenizer
        self._max_pieces = max_tokens - SPECIAL_TOKENS
        first, last = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
        if first is None or last is None:
            raise ArtifactError(
                ErrorCode.ARTIFACT_CORRUPT, "the tokenizer knows no [CLS] and [SEP]; it is not BERT's, so publish that"
            )
        self._first, self._last = first, last

    @classmethod
    def load(cls, file: Path, max_tokens: int) -> "TextTokenizer":
        """The tokenizer of a ``tokenizer.json``. Raises ArtifactError(artifact_corrupt)."""
        try:
            tokenizer = Tokenizer.from_str(file.read_text(encoding="utf-8"))
        except Exception as error:  # tokenizers raises bare Exceptions
            raise ArtifactError(
                ErrorCode.ARTIFACT_CORRUPT,
                f"{file.name} is no tokenizer ({type(error).__name__}); publish the encoder again",
                file=file.name,
                cause=str(error)[:200],
            ) from error
        return cls(tokenizer, max_tokens)

    def tokenise(self, text: str) -> TokenisedText:
        """The wordpieces of a text. Raises InvalidRequest(text_empty) if the tokenizer sees nothing in it."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        pieces = encoding.ids
        if not pieces:
            raise InvalidRequest(
                ErrorCode.TEXT_EMPTY,
                f"the text's {len(text)} characters are all invisible to the encoder; send at least one visible one",
                characters=len(text),
            )
        ids = [self._first, *pieces[: self._max_pieces], self._last]
        total = len(pieces) + SPECIAL_TOKENS
        return TokenisedText(text, encoding, ids, Truncation(tokens=total, kept=len(ids)) if len(ids) < total else None)
