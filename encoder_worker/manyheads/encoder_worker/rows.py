"""What a head reads of a text's hidden states: the rows of its view, as they travel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from manyheads.encoder_worker.backend import Floats
from manyheads.encoder_worker.tokenizer import TokenisedText
from manyheads.topics.arrays import to_tensor
from manyheads.topics.messages import Truncation
from manyheads.topics.spans import pack_spans, word_shapes
from manyheads.topics.tensor import Precision, Tensor
from manyheads.topics.views import Rows, View


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a head reads of one text."""

    view: View
    tensor: Tensor
    """[rows, layers x width]"""
    spans: bytes
    """packed character offsets, one span a row; empty for a pooled view"""
    shapes: bytes
    """one byte a row; empty for a pooled view"""
    truncation: Truncation | None
    tokens: int
    """that the encoder read of the text, special tokens included"""


def read_view(
    characters: str, text: TokenisedText, states: Sequence[Floats], view: View, precision: Precision
) -> Encoded:
    """The rows that ``view`` has of one text.

    Args:
        characters: the text itself.
        text: its wordpieces.
        states: for each of the view's layers the hidden states of the text's wordpieces [pieces, width].
        view: which rows.
        precision: of the tensor.

    Raises:
        InternalError: the hidden states are not finite.
    """
    match view.rows:
        case Rows.POOLED:
            # Row after row, so the sum does not depend on where in a batch the text stood.
            rows = np.concatenate([layer.mean(axis=0, keepdims=True) for layer in states], axis=1)
            return Encoded(view, to_tensor(rows, precision), b"", b"", text.truncation, len(text.ids))
        case Rows.WORDS:
            words = text.words()
            spans = words.spans
            rows = np.concatenate([layer[list(words.first_pieces)] for layer in states], axis=1)
        case Rows.TOKENS:
            spans = text.piece_spans()
            rows = np.concatenate(states, axis=1)
    shapes = word_shapes(characters, spans)
    return Encoded(view, to_tensor(rows, precision), pack_spans(spans), shapes, text.truncation, len(text.ids))
