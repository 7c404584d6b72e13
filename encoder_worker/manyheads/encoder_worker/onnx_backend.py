"""The encoder on a CPU: the flat graph in ONNX Runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from manyheads.encoder_worker.backend import Floats
from manyheads.encoder_worker.graph_io import EncoderCard, feeds, layer_output
from manyheads.encoder_worker.probe import Probe
from manyheads.infra.onnx.sessions import cpu_session

# Measured: more gains nothing, as activations leave the cache, and less wastes the matrix units' tiles.
_TOKENS_PER_RUN = 192


class OnnxBackend:
    """An encoder graph and its session.

    Attributes:
        card: what the graph says of itself.
        probe: a text with the answer that it must give; None for a float32 graph.
    """

    def __init__(self, model: bytes | Path, threads: int = 1) -> None:
        """Load the graph. Raises ArtifactError(artifact_missing or artifact_corrupt)."""
        self._session = cpu_session(model, threads)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.card = EncoderCard.from_metadata(metadata)
        self.probe = Probe.from_metadata(metadata)

    @property
    def tokens_per_run(self) -> int:
        """See :class:`manyheads.encoder_worker.backend.Backend`."""
        return _TOKENS_PER_RUN

    def run(self, texts: Sequence[Sequence[int]], layers: Sequence[int]) -> Mapping[int, Floats]:
        """See :class:`manyheads.encoder_worker.backend.Backend`."""
        outputs = self._session.run([layer_output(layer) for layer in layers], feeds(texts))
        return dict(zip(layers, outputs, strict=True))
