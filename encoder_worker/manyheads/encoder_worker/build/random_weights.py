"""An encoder of random weights in a given shape: for load tests and benchmarks, where only its cost matters."""

from pathlib import Path

from manyheads.encoder_worker.bert import BertShape, BertWeights
from manyheads.encoder_worker.build.encoder_build import (
    DEFAULT_OPTIONS,
    BuildOptions,
    EncoderBuild,
    Progress,
    build_encoder,
)
from manyheads.encoder_worker.build.minilm import minilm_file
from manyheads.topics.names import space

ARTICLE_SHAPE = BertShape(layers=6, width=768, heads=12, intermediate=3072, vocabulary=30522)
"""57M parameters in the layers: DistilBERT's shape."""


def build_random(
    out_dir: Path,
    shape: BertShape = ARTICLE_SHAPE,
    progress: Progress | None = None,
    options: BuildOptions = DEFAULT_OPTIONS,
    seed: int = 0,
) -> EncoderBuild:
    """Build an encoder of random weights, called so: its space is ``random-<layers>x<width>``.

    The tokenizer is that of all-MiniLM-L6-v2, with BERT's 30,522 wordpieces.

    Raises:
        ArtifactError: as :func:`build_minilm`.
    """
    if progress:
        progress(f"drawing random weights, {shape.layers} layers x {shape.width}")
    name = space(f"random-{shape.layers}x{shape.width}")
    return build_encoder(
        BertWeights.random(shape, seed),
        minilm_file("tokenizer.json"),
        name,
        out_dir,
        options=options,
        progress=progress,
    )
