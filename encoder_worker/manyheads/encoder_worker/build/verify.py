"""How close an encoder's int8 graph is to float32, measured when it is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from manyheads.encoder_worker.graph_io import EncoderCard
from manyheads.encoder_worker.onnx_backend import OnnxBackend
from manyheads.encoder_worker.tokenizer import TextTokenizer
from manyheads.topics.errors import ArtifactError, ErrorCode

MAX_RELATIVE_ERROR = 0.12
"""Of a layer's hidden states. Twice the usual: beyond it something is wrong with the weights or this processor."""

_PROBES = (
    "move 40 euros from my checking account to savings",
    "Is flight BA117 to New York on time?",
    "hello",
    "I'd like to reschedule my appointment with Dr. Meier from Tuesday 9:30 to any afternoon next week, please.",
    "what's the weather going to be like in São Paulo tomorrow morning",
    "cancel my order #4418-B, it still has not shipped after 12 days!!!",
    (
        "the invoice that you sent us in March lists two items that we never bought, and the total does not match the "
        "amount that was taken from our account, so please check both, send a corrected invoice to our office in Leeds "
        "and tell me when the difference will be paid back"
    ),
)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Relative errors of an int8 graph against float32: the norm of the difference by the norm of float32."""

    by_layer: Mapping[int, float]
    """of the hidden states of all tokens of the probe texts"""

    @property
    def worst(self) -> float:
        return max(self.by_layer.values())


def check_fidelity(graph: bytes, reference: bytes, tokenizer: Path, card: EncoderCard) -> Fidelity:
    """Compare the hidden states of both graphs on probe texts.

    Raises:
        ArtifactError: space_mismatch above MAX_RELATIVE_ERROR, or if the graph's output is not finite.
    """
    pieces = TextTokenizer.load(tokenizer, card.max_tokens)
    texts = [pieces.tokenise(text).ids for text in _PROBES]
    layers = card.output_layers
    exact = OnnxBackend(reference).run(texts, layers)
    found = OnnxBackend(graph).run(texts, layers)
    errors = {
        layer: float(np.linalg.norm(found[layer] - exact[layer]) / np.linalg.norm(exact[layer])) for layer in layers
    }
    fidelity = Fidelity(errors)
    if not fidelity.worst <= MAX_RELATIVE_ERROR:  # not a number is refused too
        raise ArtifactError(
            ErrorCode.SPACE_MISMATCH,
            f"the int8 encoder's hidden states differ from float32 by {fidelity.worst:.3f} of their norm, at most "
            f"{MAX_RELATIVE_ERROR} is accepted; build it in float32, or on a processor with VNNI",
            **{f"layer_{layer}": round(error, 4) for layer, error in errors.items()},
            limit=MAX_RELATIVE_ERROR,
        )
    return fidelity
