"""The encoder on a GPU: torch, float16, fixed shapes.

A GPU's matrix kernels are chosen by the shapes they are given, and another kernel rounds differently. So every batch
here has one of a few fixed shapes, and which one a text gets depends on its own length alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch.nn import functional

from manyheads.encoder_worker.backend import Floats
from manyheads.encoder_worker.bert import BertWeights
from manyheads.encoder_worker.graph_io import EncoderCard
from manyheads.topics.errors import ArtifactError, ErrorCode

_LENGTHS = (16, 32, 64, 128, 256, 512)
_TOKENS_ON_CUDA = 4096
_TOKENS_ON_CPU = 512


class TorchBackend:
    """BERT in torch, on CUDA in float16 or, for tests, on a CPU in float32."""

    def __init__(self, weights: BertWeights, device: str, tokens_per_batch: int | None = None) -> None:
        on_cuda = torch.device(device).type == "cuda"
        self._device = torch.device(device)
        self._dtype = torch.float16 if on_cuda else torch.float32
        self._batch_tokens = tokens_per_batch or (_TOKENS_ON_CUDA if on_cuda else _TOKENS_ON_CPU)
        self._shape = weights.shape
        self._arrays = {
            name: torch.from_numpy(array).to(self._device, self._dtype) for name, array in weights.arrays.items()
        }

    @classmethod
    def load(cls, file: Path, card: EncoderCard, device: str) -> Self:
        """The encoder of a ``weights.safetensors``.

        Raises:
            ArtifactError: artifact_missing or artifact_corrupt; space_mismatch if it is not in the shape of ``card``.
        """
        weights = BertWeights.read(file)
        if (weights.shape.layers, weights.shape.width) != (card.layers, card.width):
            raise ArtifactError(
                ErrorCode.SPACE_MISMATCH,
                f"{file.name} has {weights.shape.layers} layers x {weights.shape.width}, the registry says "
                f"{card.layers} x {card.width}; register what was built",
                file=file.name,
            )
        return cls(weights, device)

    @property
    def tokens_per_run(self) -> int:
        """See :class:`manyheads.encoder_worker.backend.Backend`."""
        return 4 * self._batch_tokens

    def run(self, texts: Sequence[Sequence[int]], layers: Sequence[int]) -> Mapping[int, Floats]:
        """See :class:`manyheads.encoder_worker.backend.Backend`."""
        starts = np.cumsum([0, *(len(text) for text in texts)])
        states = {layer: np.empty((int(starts[-1]), self._shape.width), np.float32) for layer in layers}
        for length, members in self._batches(texts):
            found = self._forward([texts[i] for i in members], length, layers)
            for layer, padded in found.items():
                for row, i in enumerate(members):
                    states[layer][starts[i] : starts[i + 1]] = padded[row, : len(texts[i])]
        return states

    def _batches(self, texts: Sequence[Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
        """Padded length and members of each batch: no more than the fixed batch of that length holds."""
        by_length: dict[int, list[int]] = {}
        for i, text in enumerate(texts):
            by_length.setdefault(next(length for length in _LENGTHS if length >= len(text)), []).append(i)
        for length, members in by_length.items():
            size = self._batch_size(length)
            for start in range(0, len(members), size):
                yield length, members[start : start + size]

    def _batch_size(self, length: int) -> int:
        return max(1, self._batch_tokens // length)

    @torch.inference_mode()
    def _forward(self, texts: Sequence[Sequence[int]], length: int, layers: Sequence[int]) -> dict[int, Floats]:
        ids = np.zeros((self._batch_size(length), length), np.int64)
        # Rows without a text attend to one token, so that nothing divides by zero.
        lengths = np.ones(len(ids), np.int64)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            lengths[row] = len(text)
        present = torch.from_numpy(np.arange(length) < lengths[:, None]).to(self._device)
        x = self._embeddings(torch.from_numpy(ids).to(self._device))
        found = {}
        for layer in range(1, max(layers) + 1):
            x = self._layer(f"encoder.layer.{layer - 1}", x, present[:, None, None, :])
            if layer in layers:
                found[layer] = x[: len(texts)].float().cpu().numpy()
        return found

    def _embeddings(self, ids: torch.Tensor) -> torch.Tensor:
        arrays = self._arrays
        x = (
            functional.embedding(ids, arrays["embeddings.word_embeddings.weight"])
            + arrays["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + arrays["embeddings.token_type_embeddings.weight"][0]
        )
        return self._norm("embeddings.LayerNorm", x)

    def _layer(self, name: str, x: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        def by_head(part: str) -> torch.Tensor:
            projected = self._linear(f"{name}.attention.self.{part}", x)
            return projected.view(*x.shape[:2], self._shape.heads, self._shape.head_width).transpose(1, 2)

        context = functional.scaled_dot_product_attention(
            by_head("query"), by_head("key"), by_head("value"), attn_mask=present
        )
        attended = self._linear(f"{name}.attention.output.dense", context.transpose(1, 2).flatten(-2))
        x = self._norm(f"{name}.attention.output.LayerNorm", attended + x)
        inner = functional.gelu(self._linear(f"{name}.intermediate.dense", x))
        return self._norm(f"{name}.output.LayerNorm", self._linear(f"{name}.output.dense", inner) + x)

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"])

    def _norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self._arrays[f"{name}.weight"], self._arrays[f"{name}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, self._shape.epsilon)
