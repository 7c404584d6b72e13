"""What runs the encoder's network: ONNX Runtime on a CPU, torch where CUDA is there."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Backend(Protocol):
    """One loaded encoder network. A text's hidden states do not depend on the texts that share its run."""

    @property
    def tokens_per_run(self) -> int:
        """How many tokens a run should have at most, for the best throughput without a long wait."""

    def run(self, texts: Sequence[Sequence[int]], layers: Sequence[int]) -> Mapping[int, Floats]:
        """The hidden states behind each of ``layers``, float32 [tokens, width].

        Args:
            texts: at least one; each the token ids of a text, special tokens included.
            layers: of those that the encoder's views read; layers count from 1.

        Returns:
            By layer, the tokens of all texts one after another.
        """
