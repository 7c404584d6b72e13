"""Building an encoder: weights in, a verified ONNX graph out. Needs onnx and safetensors, no torch."""

from manyheads.encoder_worker.build.encoder_build import BuildOptions, EncoderBuild, build_encoder
from manyheads.encoder_worker.build.graph import Arithmetic
from manyheads.encoder_worker.build.minilm import build_minilm
from manyheads.encoder_worker.build.random_weights import ARTICLE_SHAPE, build_random

__all__ = [
    "ARTICLE_SHAPE",
    "Arithmetic",
    "BuildOptions",
    "EncoderBuild",
    "build_encoder",
    "build_minilm",
    "build_random",
]
