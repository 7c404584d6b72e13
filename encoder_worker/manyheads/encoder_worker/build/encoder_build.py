"""Building an encoder: its graph written, checked against float32, and its files laid down."""

import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from manyheads.encoder_worker.bert import BertWeights
from manyheads.encoder_worker.build.graph import Arithmetic, float32_graph
from manyheads.encoder_worker.build.quantise import Fidelity, quantised_encoder
from manyheads.encoder_worker.devices import GRAPH_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from manyheads.encoder_worker.graph_io import EncoderCard
from manyheads.encoder_worker.tokenizer import TextTokenizer
from manyheads.infra.telemetry import event
from manyheads.topics.limits import MAX_TOKENS
from manyheads.topics.names import RingName, SpaceName, VersionName, version
from manyheads.topics.registry import ArtifactRef, EncoderRecord
from manyheads.topics.views import Rows, View

_log = logging.getLogger(__name__)

Progress = Callable[[str], None]
"""Told what is being done, in a few words, as each step begins."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What to build of an encoder's weights."""

    arithmetic: Arithmetic = Arithmetic.INT8
    with_weights: bool = False
    """also write ``weights.safetensors``, which the CUDA backend reads"""


DEFAULT_OPTIONS = BuildOptions()


@dataclass(frozen=True, slots=True)
class EncoderBuild:
    """A built encoder: files in a folder, and what the registry will say of them."""

    card: EncoderCard
    version: VersionName
    files: Mapping[str, Path]
    """by role: ``model.onnx``, ``tokenizer.json`` and, if asked for, ``weights.safetensors``"""
    fidelity: Fidelity | None
    """how close the int8 graph is to float32; None for a float32 build"""

    def record(self, ring: RingName) -> EncoderRecord:
        """The record to register once :attr:`files` are in the model store."""
        return EncoderRecord(
            ring=ring,
            version=self.version,
            space=self.card.space,
            layers=self.card.layers,
            width=self.card.width,
            views=self.card.views,
            max_tokens=self.card.max_tokens,
            artifacts=tuple(_reference(name, file) for name, file in self.files.items()),
        )


def offered_views(layers: int) -> tuple[View, ...]:
    """The views of an encoder: each kind of rows, of the last layer or of the last four."""
    last_four = tuple(range(max(1, layers - 3), layers + 1))
    return tuple(View(rows, chosen) for rows in Rows for chosen in dict.fromkeys(((layers,), last_four)))


def build_encoder(
    weights: BertWeights,
    tokenizer: Path,
    space: SpaceName,
    out_dir: Path,
    *,
    options: BuildOptions = DEFAULT_OPTIONS,
    progress: Progress | None = None,
) -> EncoderBuild:
    """Build an encoder of any BERT weights into ``out_dir``.

    The version is derived from what was built, so the same weights built by the same code have the same version.

    Args:
        weights: the encoder's.
        tokenizer: the ``tokenizer.json`` that belongs to them.
        space: the name of their embedding space.
        out_dir: created if it is not there; files of the same names are replaced.
        options: what to build.
        progress: told about each step.

    Raises:
        ArtifactError: space_mismatch if the int8 graph's hidden states are too far from float32 to be read by heads
            of this space; artifact_corrupt or artifact_missing for a wrong tokenizer file.
    """
    tell = progress or (lambda _: None)
    shape = weights.shape
    card = EncoderCard(space, shape.layers, shape.width, MAX_TOKENS, offered_views(shape.layers))
    fidelity = None
    if options.arithmetic is Arithmetic.INT8:
        tell("quantising to int8, checked against float32")
        graph, fidelity = quantised_encoder(weights, card, TextTokenizer.load(tokenizer, card.max_tokens))
    else:
        tell("writing the float32 graph")
        graph = float32_graph(weights, card)
    tell("writing its files")
    out_dir.mkdir(parents=True, exist_ok=True)
    files = {GRAPH_FILE: out_dir / GRAPH_FILE, TOKENIZER_FILE: out_dir / TOKENIZER_FILE}
    files[GRAPH_FILE].write_bytes(graph)
    shutil.copyfile(tokenizer, files[TOKENIZER_FILE])
    if options.with_weights:
        files[WEIGHTS_FILE] = out_dir / WEIGHTS_FILE
        weights.write(files[WEIGHTS_FILE])
    digest = hashlib.sha256(graph + files[TOKENIZER_FILE].read_bytes()).hexdigest()
    build = EncoderBuild(card, version(f"{space}-{options.arithmetic}-{digest[:8]}"), files, fidelity)
    event(_log, "encoder_built", version=build.version, graph_bytes=len(graph))
    return build


def _reference(name: str, file: Path) -> ArtifactRef:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ArtifactRef(name=name, sha256=digest, bytes=file.stat().st_size)
