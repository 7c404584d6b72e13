"""A known answer within every int8 graph: whether this processor computes what heads were trained on.

Processors without VNNI saturate sums of int8 products that others do not, and say nothing. Their embeddings look sound
and are those of another space.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from manyheads.encoder_worker.backend import Backend, Floats
from manyheads.topics.errors import ArtifactError, ErrorCode

MAX_PROBE_ERROR = 0.10
"""The norm of the difference by the norm of what float32 gives; 0.02 to 0.03 is usual."""

_KEY = "manyheads.probe"


@dataclass(frozen=True, slots=True)
class Probe:
    """A text, as token ids, and what float32 gives for it: a layer's hidden states, their mean over all tokens."""

    ids: tuple[int, ...]
    layer: int
    expected: Floats
    """[width]"""

    @classmethod
    def measured(cls, reference: Backend, ids: Sequence[int], layer: int) -> Self:
        """The probe that the float32 graph ``reference`` answers."""
        return cls(tuple(ids), layer, reference.run([ids], [layer])[layer].mean(axis=0))

    def error(self, backend: Backend) -> float:
        """How far the backend's answer is from the expected one, relative to that."""
        found = backend.run([self.ids], [self.layer])[self.layer].mean(axis=0)
        return float(np.linalg.norm(found - self.expected) / np.linalg.norm(self.expected))

    def check(self, backend: Backend) -> None:
        """Raises ArtifactError(space_mismatch) if the backend's answer is off by more than MAX_PROBE_ERROR."""
        error = self.error(backend)
        if not error <= MAX_PROBE_ERROR:  # not a number is refused too
            raise ArtifactError(
                ErrorCode.SPACE_MISMATCH,
                f"on this processor the int8 encoder is off by {error:.3f} of its hidden states' norm, at most "
                f"{MAX_PROBE_ERROR} is accepted; run it on a processor with VNNI, or build the encoder in float32",
                error=round(error, 4),
                limit=MAX_PROBE_ERROR,
            )

    def to_metadata(self) -> dict[str, str]:
        """Its entry in the graph's ``metadata_props``."""
        expected = base64.b64encode(self.expected.astype("<f4").tobytes()).decode()
        return {_KEY: json.dumps({"ids": self.ids, "layer": self.layer, "expected": expected})}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self | None:
        """The probe of a graph, if it has one. Raises ArtifactError(artifact_corrupt) if it cannot be read."""
        if _KEY not in metadata:
            return None
        try:
            fields = json.loads(metadata[_KEY])
            expected = np.frombuffer(base64.b64decode(fields["expected"], validate=True), "<f4")
            return cls(tuple(map(int, fields["ids"])), int(fields["layer"]), expected.astype(np.float32))
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise ArtifactError(
                ErrorCode.ARTIFACT_CORRUPT,
                f"the probe in the encoder's metadata cannot be read ({type(error).__name__}); build it again",
                cause=type(error).__name__,
            ) from error
