"""An int8 graph that stays close to float32: calibrated, then compared."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from manyheads.encoder_worker.bert import BertWeights, Floats
from manyheads.encoder_worker.build.graph import float32_graph, input_of, int8_graph, smoothed_products
from manyheads.encoder_worker.build.probes import CALIBRATION_TEXTS, CHECK_TEXTS
from manyheads.encoder_worker.graph_io import EncoderCard, feeds
from manyheads.encoder_worker.onnx_backend import OnnxBackend
from manyheads.encoder_worker.probe import Probe
from manyheads.encoder_worker.tokenizer import TextTokenizer
from manyheads.infra.onnx.sessions import cpu_session
from manyheads.topics.errors import ArtifactError, ErrorCode

MAX_RELATIVE_ERROR = 0.10
"""Of a layer's hidden states; 0.03 to 0.05 is usual. Beyond it something is wrong with the weights or the processor."""

_TINY = np.float32(1e-6)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Relative errors of an int8 graph against float32: the norm of the difference by the norm of float32."""

    by_layer: Mapping[int, float]
    """of the hidden states of all tokens of the texts that it was checked on"""

    @property
    def worst(self) -> float:
        """The largest of them."""
        return max(self.by_layer.values())


def quantised_encoder(weights: BertWeights, card: EncoderCard, tokenizer: TextTokenizer) -> tuple[bytes, Fidelity]:
    """The int8 graph of an encoder, and how close it is to float32 on texts that it was not calibrated on.

    Raises:
        ArtifactError: space_mismatch above MAX_RELATIVE_ERROR: heads of this space could not read it.
    """
    reference = float32_graph(weights, card, observed=True)
    exact = OnnxBackend(reference)
    probe = Probe.measured(exact, tokenizer.tokenise(CHECK_TEXTS[0]).ids, card.output_layers[-1])
    graph = int8_graph(weights, card, _smoothing(weights, reference, tokenizer), probe)
    return graph, _fidelity(OnnxBackend(graph), exact, card, tokenizer)


def _smoothing(weights: BertWeights, reference: bytes, tokenizer: TextTokenizer) -> dict[str, Floats]:
    """Divisors that share the range of each channel evenly between activations and weights."""
    products = smoothed_products(weights)
    texts = [tokenizer.tokenise(text).ids for text in CALIBRATION_TEXTS]
    inputs = cpu_session(reference).run([input_of(product) for product in products], feeds(texts))
    smoothing = {}
    for (product, weight), x in zip(products.items(), inputs, strict=True):
        activation = np.sqrt(np.mean(np.square(x), axis=0))
        balance = np.sqrt(np.maximum(activation, _TINY) / np.maximum(np.sqrt(np.mean(weight**2, axis=1)), _TINY))
        smoothing[product] = (balance / np.exp(np.mean(np.log(balance)))).astype(np.float32)
    return smoothing


def _fidelity(graph: OnnxBackend, reference: OnnxBackend, card: EncoderCard, tokenizer: TextTokenizer) -> Fidelity:
    texts = [tokenizer.tokenise(text).ids for text in CHECK_TEXTS]
    layers = card.output_layers
    exact, found = reference.run(texts, layers), graph.run(texts, layers)
    errors = {
        layer: float(np.linalg.norm(found[layer] - exact[layer]) / np.linalg.norm(exact[layer])) for layer in layers
    }
    fidelity = Fidelity(errors)
    if not fidelity.worst <= MAX_RELATIVE_ERROR:  # not a number is refused too
        raise ArtifactError(
            ErrorCode.SPACE_MISMATCH,
            f"the int8 encoder's hidden states differ from float32 by {fidelity.worst:.3f} of their norm, at most "
            f"{MAX_RELATIVE_ERROR} is accepted; build it in float32, or on a processor with VNNI",
            limit=MAX_RELATIVE_ERROR,
            **{f"layer_{layer}": round(error, 4) for layer, error in errors.items()},
        )
    return fidelity
