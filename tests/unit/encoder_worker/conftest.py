"""Encoders that the tests of this folder share: the real one, and a small one of random weights."""

import pytest

from manyheads.encoder_worker import EncoderModel
from manyheads.encoder_worker.bert import BertShape, BertWeights
from manyheads.encoder_worker.build import Arithmetic, BuildOptions, EncoderBuild, build_encoder, build_minilm
from manyheads.encoder_worker.build.minilm import minilm_file
from manyheads.encoder_worker.tokenizer import TextTokenizer
from manyheads.topics.names import ring, space

RING = ring("en")
SMALL_SHAPE = BertShape(layers=3, width=48, heads=4, intermediate=80, vocabulary=30522)


@pytest.fixture(scope="session")
def small_weights() -> BertWeights:
    """Random weights, large enough that attention prefers some tokens and activations have outliers."""
    weights = BertWeights.random(SMALL_SHAPE, seed=7)
    return BertWeights(
        SMALL_SHAPE, {name: array * 8 if "LayerNorm" not in name else array for name, array in weights.arrays.items()}
    )


@pytest.fixture(scope="session")
def tokenizer() -> TextTokenizer:
    return TextTokenizer.load(minilm_file("tokenizer.json"), 250)


@pytest.fixture(scope="session")
def small_build(tmp_path_factory: pytest.TempPathFactory) -> EncoderBuild:
    """As :func:`build_random` makes it, in a small shape, with the weights that torch reads."""
    weights = BertWeights.random(SMALL_SHAPE)
    folder = tmp_path_factory.mktemp("small")
    options = BuildOptions(with_weights=True)
    return build_encoder(weights, minilm_file("tokenizer.json"), space("random-3x48"), folder, options=options)


@pytest.fixture(scope="session")
def small_model(small_build: EncoderBuild) -> EncoderModel:
    return EncoderModel.load(small_build.record(RING), small_build.files)


@pytest.fixture(scope="session")
def minilm_build(tmp_path_factory: pytest.TempPathFactory) -> EncoderBuild:
    return build_minilm(tmp_path_factory.mktemp("minilm"))


@pytest.fixture(scope="session")
def minilm_model(minilm_build: EncoderBuild) -> EncoderModel:
    return EncoderModel.load(minilm_build.record(RING), minilm_build.files)


@pytest.fixture(scope="session")
def minilm_float32(tmp_path_factory: pytest.TempPathFactory) -> EncoderModel:
    build = build_minilm(tmp_path_factory.mktemp("minilm32"), options=BuildOptions(Arithmetic.FLOAT32))
    return EncoderModel.load(build.record(RING), build.files)
