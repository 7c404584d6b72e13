"""What a head reads of an embedding."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from manyheads.topics.errors import ErrorCode, InvalidRequest

_VIEW = re.compile(r"(pooled|words|tokens):([0-9]{1,3}(?:,[0-9]{1,3})*)")


class Rows(StrEnum):
    """Which rows of a layer a view has."""

    POOLED = "pooled"
    """one row: the mean over all tokens of the text, special tokens left out"""
    WORDS = "words"
    """a row per word: its first wordpiece"""
    TOKENS = "tokens"
    """a row per wordpiece, special tokens left out"""


@dataclass(frozen=True, slots=True)
class View:
    """Rows of one or several layers, side by side: ``words:3,4,5,6`` is [words, 4 x width].

    Layers count from 1, the first transformer layer; several are concatenated along the width, in this order.
    """

    rows: Rows
    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.layers or list(self.layers) != sorted(set(self.layers)) or self.layers[0] < 1:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT,
                f"layers {self.layers} of a view must rise from 1 or above",
                view=str(self),
            )

    def __str__(self) -> str:
        return f"{self.rows}:{','.join(map(str, self.layers))}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """A view from its text, such as ``pooled:3,4,5,6``. Raises InvalidRequest(invalid_argument)."""
        match = _VIEW.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT,
                f"{text!r:.80} is no view; write for example pooled:3,4,5,6 or words:6 or tokens:6",
            )
        return cls(Rows(match[1]), tuple(int(layer) for layer in match[2].split(",")))


def _parse(value: object) -> View:
    if isinstance(value, View):
        return value
    try:
        return View.parse(value)  # type: ignore[arg-type]
    except InvalidRequest as error:
        raise ValueError(error.message) from error


ViewField = Annotated[
    View,
    BeforeValidator(_parse),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_VIEW.pattern}$"}),
]
"""A view as a field of a pydantic model: its text on the wire."""
