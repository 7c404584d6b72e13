"""The torch backend on a CPU in float32: the same hidden states as ONNX Runtime's, and the same promises."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyheads.encoder_worker.bert import BertWeights
from manyheads.encoder_worker.build import EncoderBuild
from manyheads.encoder_worker.build.encoder_build import offered_views
from manyheads.encoder_worker.build.graph import float32_graph
from manyheads.encoder_worker.graph_io import EncoderCard
from manyheads.encoder_worker.onnx_backend import OnnxBackend
from manyheads.topics.errors import ArtifactError, ErrorCode
from manyheads.topics.names import space

pytest.importorskip("torch")

from manyheads.encoder_worker.torch_backend import TorchBackend

_TEXTS = st.lists(st.lists(st.integers(1000, 30_000), min_size=3, max_size=250), min_size=1, max_size=7)


@pytest.fixture(scope="module")
def backend(small_weights: BertWeights) -> TorchBackend:
    return TorchBackend(small_weights, "cpu")


@settings(max_examples=20)
@given(texts=_TEXTS)
def test_it_computes_what_the_float32_graph_does(
    backend: TorchBackend, reference: OnnxBackend, texts: list[list[int]]
) -> None:
    found, exact = backend.run(texts, (1, 3)), reference.run(texts, (1, 3))
    assert found.keys() == exact.keys()
    for layer, states in exact.items():
        assert found[layer].shape == states.shape
        assert np.linalg.norm(found[layer] - states) < 1e-5 * np.linalg.norm(states)


@pytest.fixture(scope="module")
def reference(small_weights: BertWeights) -> OnnxBackend:
    shape = small_weights.shape
    card = EncoderCard(space("test"), shape.layers, shape.width, 250, offered_views(shape.layers))
    return OnnxBackend(float32_graph(small_weights, card))


@settings(max_examples=30)
@given(texts=_TEXTS)
def test_a_text_is_the_same_alone_and_in_any_batch(backend: TorchBackend, texts: list[list[int]]) -> None:
    together = backend.run(texts, (3,))[3]
    start = 0
    for text in texts:
        alone = backend.run([text], (3,))[3]
        assert alone.tobytes() == together[start : start + len(text)].tobytes()
        start += len(text)


def test_weights_of_another_encoder_are_refused(small_build: EncoderBuild) -> None:
    file = small_build.files["weights.safetensors"]
    TorchBackend.load(file, small_build.card, "cpu")
    other = EncoderCard(space("test"), 6, 384, 250, offered_views(6))
    with pytest.raises(ArtifactError) as caught:
        TorchBackend.load(file, other, "cpu")
    assert caught.value.code is ErrorCode.SPACE_MISMATCH


def test_a_missing_file_is_a_missing_artifact(tmp_path: Path, small_build: EncoderBuild) -> None:
    with pytest.raises(ArtifactError) as caught:
        TorchBackend.load(tmp_path / "weights.safetensors", small_build.card, "cpu")
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING
