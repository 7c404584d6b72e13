"""What a head's file says of itself: its labels, what it reads, and the numbers behind its confidences."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manyheads.head_worker.tags import TagSet
from manyheads.topics.errors import ArtifactError, ErrorCode
from manyheads.topics.limits import MAX_TENSOR_ELEMENTS
from manyheads.topics.names import Space
from manyheads.topics.views import Rows, ViewField

FORMAT: Literal[1] = 1
METADATA_KEY = "manyheads.head"
"""The entry of ``metadata_props`` that holds the card as JSON."""

MAX_CARD_BYTES = 4 * 1024 * 1024
MAX_INTENTS = 2_000
MAX_ENTITY_LABELS = 200

Label = Annotated[str, Field(min_length=1, max_length=200)]
Temperature = Annotated[float, Field(ge=0.1, le=100)]
Score = Annotated[float, Field(ge=-50, le=50)]
"""Of a tag or a transition: its exponential at the lowest temperature is still a number."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaggerCard(_Part):
    """How scores of tags become entities (:mod:`manyheads.head_worker.decoding`)."""

    labels: tuple[Label, ...] = Field(min_length=1, max_length=MAX_ENTITY_LABELS)
    temperature: Temperature
    starts: tuple[Score, ...]
    """learned score of each tag in the first row"""
    transitions: tuple[tuple[Score, ...], ...]
    """learned score of each tag after each other, [from][to]"""

    @property
    def tags(self) -> TagSet:
        return TagSet(len(self.labels))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        count = len(self.tags)
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("an entity label occurs twice")
        if {len(self.starts), len(self.transitions), *map(len, self.transitions)} != {count}:
            raise ValueError(f"{len(self.labels)} labels have {count} tags; the scores are of another number")
        return self


class HeadCard(_Part):
    """A head, without its weights and without its tenant."""

    format: Literal[1] = FORMAT
    space: Space
    view: ViewField
    width: int = Field(ge=1, le=MAX_TENSOR_ELEMENTS)
    """of a row: layers of the view x width of the encoder"""
    intents: tuple[Label, ...] = Field(min_length=1, max_length=MAX_INTENTS)
    intent_temperature: Temperature = 1.0
    """divides the intents' logits before they become confidences"""
    tagger: TaggerCard | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.intents)) != len(self.intents):
            raise ValueError("an intent occurs twice")
        if self.tagger is not None and self.view.rows is Rows.POOLED:
            raise ValueError(f"view {self.view} has one row a text, so there is nothing to tag")
        return self

    def to_metadata(self) -> dict[str, str]:
        """The entries of ``metadata_props``."""
        return {METADATA_KEY: json.dumps(self.model_dump(mode="json"), separators=(",", ":"))}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """The card in a graph's ``metadata_props``. Raises ArtifactError(artifact_corrupt) naming what is wrong."""
        text = metadata.get(METADATA_KEY)
        if text is None:
            raise corrupt(f"it has no {METADATA_KEY} in its metadata")
        if len(text) > MAX_CARD_BYTES:
            raise corrupt(f"its card has {len(text):,} characters, over {MAX_CARD_BYTES:,}", characters=len(text))
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "card"
            raise corrupt(f"its card is wrong: {where}: {first['msg']}", field=where) from None


def corrupt(why: str, **details: str | int | float) -> ArtifactError:
    """The error of a file that is no head: ``why`` completes "this file is no head of format 1: ..."."""
    return ArtifactError(
        ErrorCode.ARTIFACT_CORRUPT,
        f"this file is no head of format {FORMAT}: {why}; train and publish the head again",
        **details,
    )
