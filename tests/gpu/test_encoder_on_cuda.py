"""The encoder on a GPU: close to float32, and the same bits for a text in any batch. Needs CUDA."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

import torch

from manyheads.encoder_worker import EncoderModel, EncoderOptions, TextItem
from manyheads.encoder_worker.bert import BertWeights
from manyheads.encoder_worker.build import BuildOptions, EncoderBuild, build_minilm
from manyheads.encoder_worker.build.minilm import MINILM_SHAPE, minilm_file
from manyheads.encoder_worker.devices import Device, resolve_device
from manyheads.encoder_worker.torch_backend import TorchBackend
from manyheads.topics.messages import Embedding
from manyheads.topics.names import ring
from manyheads.topics.tensor import Precision
from manyheads.topics.views import View

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")

_TEXTS = st.lists(st.lists(st.integers(1000, 30_000), min_size=3, max_size=250), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> EncoderBuild:
    return build_minilm(tmp_path_factory.mktemp("minilm"), options=BuildOptions(with_weights=True))


@pytest.fixture(scope="module")
def backend(build: EncoderBuild) -> TorchBackend:
    return TorchBackend.load(build.files["weights.safetensors"], build.card, "cuda")


@settings(max_examples=40, deadline=None)
@given(texts=_TEXTS)
def test_a_text_is_the_same_bits_alone_and_in_any_batch(backend: TorchBackend, texts: list[list[int]]) -> None:
    together = backend.run(texts, (3, 6))
    start = 0
    for text in texts:
        alone = backend.run([text], (3, 6))
        for layer in (3, 6):
            assert alone[layer].tobytes() == together[layer][start : start + len(text)].tobytes(), len(text)
        start += len(text)


@settings(max_examples=10, deadline=None)
@given(texts=_TEXTS)
def test_float16_is_close_to_float32(backend: TorchBackend, texts: list[list[int]]) -> None:
    exact = TorchBackend(BertWeights.read(minilm_file("model.safetensors"), MINILM_SHAPE), "cpu").run(texts, (6,))[6]
    found = backend.run(texts, (6,))[6]
    assert np.linalg.norm(found - exact) < 0.01 * np.linalg.norm(exact)


def test_auto_takes_the_gpu_where_the_encoder_has_weights_for_it() -> None:
    assert resolve_device(Device.AUTO, {"model.onnx", "weights.safetensors"}) is Device.CUDA
    assert resolve_device(Device.AUTO, {"model.onnx"}) is Device.CPU


def test_the_model_serves_from_the_gpu_with_one_outcome_per_text(build: EncoderBuild) -> None:
    files = {name: file for name, file in build.files.items() if name != "model.onnx"}
    model = EncoderModel.load(build.record(ring("en")), files, EncoderOptions(Device.CUDA))
    view = View.parse("words:3,4,5,6")
    texts = ["move 40 euros to my savings", "", "hello", "go " * 400] * 50
    found = dict(model.embed(texts, view))
    assert sorted(found) == list(range(len(texts)))
    assert sum(isinstance(outcome, Embedding) for outcome in found.values()) == 150
    (alone,) = model.encode([TextItem(texts[0], view, Precision.INT8)])
    together = found[0]
    assert isinstance(together, Embedding)
    assert alone.outcomes[0][1].tensor == together.tensor  # type: ignore[union-attr]
