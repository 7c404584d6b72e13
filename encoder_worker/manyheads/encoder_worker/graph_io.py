"""What the encoder's graph takes, returns and says of itself: agreed between the builder and the worker.

The graph is flat: the tokens of all texts in one row after another, no padding. Only attention sees [texts, length].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidRequest
from manyheads.topics.names import SpaceName
from manyheads.topics.registry import EncoderRecord
from manyheads.topics.views import View

Integers = npt.NDArray[np.int64]

IDS = "ids"
"""int64 [tokens]: the vocabulary's numbers"""
POSITIONS = "positions"
"""int64 [tokens]: each token's place within its text"""
PADDED = "padded"
"""int64 [texts, length]: which row of the flat layout stands there; any row where the text has ended"""
UNPADDED = "unpadded"
"""int64 [tokens]: where each token stands in the padded layout, rows of it counted through"""
MASK = "mask"
"""float32 [texts, 1, 1, length]: 0, or MASKED where the text has ended; added to the attention scores"""

MASKED = np.float32(-1e9)

_FORMAT = "1"
_KEY = "manyheads."


def layer_output(layer: int) -> str:
    """The output with the hidden states behind a layer, float32 [tokens, width]; layers count from 1."""
    return f"layer_{layer}"


def feeds(texts: Sequence[Sequence[int]]) -> dict[str, npt.NDArray[np.generic]]:
    """The inputs for texts given as token ids, special tokens included."""
    lengths = np.array([len(text) for text in texts], np.int64)
    longest = int(lengths.max())
    present = np.arange(longest) < lengths[:, None]
    padded = np.zeros(present.shape, np.int64)
    padded[present] = np.arange(lengths.sum())
    return {
        IDS: np.fromiter((token for text in texts for token in text), np.int64, int(lengths.sum())),
        POSITIONS: np.nonzero(present)[1],
        PADDED: padded,
        UNPADDED: np.flatnonzero(present),
        MASK: np.where(present, np.float32(0), MASKED)[:, None, None, :],
    }


@dataclass(frozen=True, slots=True)
class EncoderCard:
    """What an encoder's graph says of itself, in its metadata."""

    space: SpaceName
    layers: int
    width: int
    max_tokens: int
    views: tuple[View, ...]

    @property
    def output_layers(self) -> tuple[int, ...]:
        """The layers that some view reads, rising."""
        return tuple(sorted({layer for view in self.views for layer in view.layers}))

    @classmethod
    def of(cls, record: EncoderRecord) -> Self:
        """What the registry says of an encoder."""
        return cls(record.space, record.layers, record.width, record.max_tokens, record.views)

    def to_metadata(self) -> dict[str, str]:
        """The entries of ``metadata_props``."""
        return {
            f"{_KEY}format": _FORMAT,
            f"{_KEY}kind": "encoder",
            f"{_KEY}space": self.space,
            f"{_KEY}layers": str(self.layers),
            f"{_KEY}width": str(self.width),
            f"{_KEY}max_tokens": str(self.max_tokens),
            f"{_KEY}views": " ".join(map(str, self.views)),
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """The card of a graph. Raises ArtifactError(artifact_corrupt) if it is no encoder of this format."""
        entry = {key.removeprefix(_KEY): value for key, value in metadata.items()}
        if (entry.get("format"), entry.get("kind")) != (_FORMAT, "encoder"):
            raise ArtifactError(
                ErrorCode.ARTIFACT_CORRUPT,
                f"the graph is no encoder of format {_FORMAT}; build it with this version of manyheads",
                format=entry.get("format"),
                kind=entry.get("kind"),
            )
        try:
            return cls(
                space=SpaceName(entry["space"]),
                layers=int(entry["layers"]),
                width=int(entry["width"]),
                max_tokens=int(entry["max_tokens"]),
                views=tuple(View.parse(view) for view in entry["views"].split()),
            )
        except (KeyError, ValueError, InvalidRequest) as error:
            raise ArtifactError(
                ErrorCode.ARTIFACT_CORRUPT,
                f"the encoder's metadata cannot be read ({error}); build it again",
                cause=type(error).__name__,
            ) from error
