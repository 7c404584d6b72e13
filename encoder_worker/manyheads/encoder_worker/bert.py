"""The shape and the weights of a BERT encoder, as a safetensors file that needs no framework to read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from manyheads.topics.errors import ArtifactError, ErrorCode

Floats = npt.NDArray[np.float32]

_METADATA_KEY = "manyheads.bert"


@dataclass(frozen=True, slots=True)
class BertShape:
    """The sizes of a BERT encoder; ``width`` is that of its hidden states."""

    layers: int
    width: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int = 512
    token_types: int = 2
    epsilon: float = 1e-12
    """added to the variance in every layer norm"""

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    def arrays(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every array, as Hugging Face's BERT names and orders them: weights are [out, in]."""
        w, i = self.width, self.intermediate
        yield "embeddings.word_embeddings.weight", (self.vocabulary, w)
        yield "embeddings.position_embeddings.weight", (self.positions, w)
        yield "embeddings.token_type_embeddings.weight", (self.token_types, w)
        yield from _norm("embeddings.LayerNorm", w)
        for layer in range(self.layers):
            prefix = f"encoder.layer.{layer}"
            for part in ("query", "key", "value"):
                yield from _dense(f"{prefix}.attention.self.{part}", w, w)
            yield from _dense(f"{prefix}.attention.output.dense", w, w)
            yield from _norm(f"{prefix}.attention.output.LayerNorm", w)
            yield from _dense(f"{prefix}.intermediate.dense", w, i)
            yield from _dense(f"{prefix}.output.dense", i, w)
            yield from _norm(f"{prefix}.output.LayerNorm", w)


@dataclass(frozen=True, slots=True)
class BertWeights:
    """A BERT encoder's arrays, float32, by the names of :meth:`BertShape.arrays`."""

    shape: BertShape
    arrays: Mapping[str, Floats]

    @classmethod
    def read(cls, file: Path, shape: BertShape | None = None) -> Self:
        """The weights of a safetensors file; other arrays in it are left alone.

        Args:
            file: one that :meth:`write` made, or any other with the arrays of ``shape``.
            shape: what the file holds, where it does not say so itself.

        Raises:
            ArtifactError: artifact_missing, or artifact_corrupt for a file that is no safetensors file, does not say
                its shape, lacks an array or has one of another shape.
        """
        if not file.is_file():
            raise ArtifactError(ErrorCode.ARTIFACT_MISSING, f"there is no file {file.name}", file=file.name)
        try:
            with safe_open(file, framework="numpy") as stored:
                shape = shape or _shape_in(stored.metadata(), file)
                present = set(stored.keys())
                arrays = {}
                for name, expected in shape.arrays():
                    array = stored.get_tensor(name) if name in present else None
                    if array is None or array.shape != expected:
                        raise _unfit(file, f"array {name} is {None if array is None else array.shape}, not {expected}")
                    arrays[name] = np.ascontiguousarray(array, dtype=np.float32)
        except SafetensorError as error:
            raise _unfit(file, f"not a safetensors file ({error})") from error
        return cls(shape, arrays)

    @classmethod
    def random(cls, shape: BertShape, seed: int = 0) -> Self:
        """Weights drawn as BERT is initialised: normal with deviation 0.02, norms at one, biases at zero."""
        generator = np.random.default_rng(seed)
        arrays: dict[str, Floats] = {}
        for name, size in shape.arrays():
            if name.endswith("bias"):
                arrays[name] = np.zeros(size, np.float32)
            elif "LayerNorm" in name:
                arrays[name] = np.ones(size, np.float32)
            else:
                arrays[name] = generator.standard_normal(size, np.float32) * np.float32(0.02)
        return cls(shape, arrays)

    def write(self, file: Path) -> None:
        """Write a file that says its own shape."""
        save_file(dict(self.arrays), file, metadata={_METADATA_KEY: json.dumps(asdict(self.shape))})

    def linear(self, name: str) -> tuple[Floats, Floats]:
        """Weight [in, out] and bias [out] of a dense layer."""
        return self.arrays[f"{name}.weight"].T, self.arrays[f"{name}.bias"]

    def norm(self, name: str) -> tuple[Floats, Floats]:
        """Scale and shift [width] of a layer norm."""
        return self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]


def _dense(name: str, inner: int, outer: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outer, inner)
    yield f"{name}.bias", (outer,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _shape_in(metadata: Mapping[str, str] | None, file: Path) -> BertShape:
    try:
        return BertShape(**json.loads((metadata or {})[_METADATA_KEY]))
    except (KeyError, TypeError, ValueError) as error:
        raise _unfit(file, f"no shape of a BERT encoder in its metadata ({type(error).__name__})") from error


def _unfit(file: Path, why: str) -> ArtifactError:
    return ArtifactError(
        ErrorCode.ARTIFACT_CORRUPT, f"{file.name}: {why}; build the encoder again", file=file.name, why=why[:200]
    )
