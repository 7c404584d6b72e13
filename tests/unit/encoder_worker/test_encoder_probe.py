"""The known answer of an int8 graph: a processor that computes something else does not serve."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from manyheads.encoder_worker import EncoderModel
from manyheads.encoder_worker.backend import Backend, Floats
from manyheads.encoder_worker.bert import BertWeights
from manyheads.encoder_worker.build import EncoderBuild
from manyheads.encoder_worker.build.graph import int8_graph
from manyheads.encoder_worker.onnx_backend import OnnxBackend
from manyheads.encoder_worker.probe import MAX_PROBE_ERROR, Probe
from manyheads.topics.errors import ArtifactError, ErrorCode
from manyheads.topics.names import ring


class _Saturates:
    """A backend whose hidden states are cut off, as sums that saturate are."""

    def __init__(self, backend: Backend, limit: float) -> None:
        self._backend = backend
        self._limit = limit

    @property
    def tokens_per_run(self) -> int:
        return self._backend.tokens_per_run

    def run(self, texts: Sequence[Sequence[int]], layers: Sequence[int]) -> Mapping[int, Floats]:
        states = self._backend.run(texts, layers)
        return {layer: np.clip(array, -self._limit, self._limit) for layer, array in states.items()}


def test_the_builder_leaves_a_probe_that_its_own_machine_passes(minilm_build: EncoderBuild) -> None:
    backend = OnnxBackend(minilm_build.files["model.onnx"])
    assert backend.probe is not None
    assert 0 < backend.probe.error(backend) < 0.04
    backend.probe.check(backend)


def test_other_answers_are_refused_with_the_numbers(minilm_build: EncoderBuild) -> None:
    backend = OnnxBackend(minilm_build.files["model.onnx"])
    assert backend.probe is not None
    with pytest.raises(ArtifactError) as caught:
        backend.probe.check(_Saturates(backend, 0.3))
    assert caught.value.code is ErrorCode.SPACE_MISMATCH
    error = caught.value.details["error"]
    assert isinstance(error, float)
    assert error > MAX_PROBE_ERROR


def test_a_worker_checks_it_before_it_serves(
    small_build: EncoderBuild, small_weights: BertWeights, tmp_path: Path
) -> None:
    wrong = Probe((101, 7592, 102), 3, np.ones(small_build.card.width, np.float32))
    graph = tmp_path / "model.onnx"
    graph.write_bytes(int8_graph(small_weights, small_build.card, {}, wrong))
    with pytest.raises(ArtifactError, match="VNNI"):
        EncoderModel.load(small_build.record(ring("en")), {**small_build.files, "model.onnx": graph})


def test_a_probe_survives_its_metadata() -> None:
    probe = Probe((101, 7592, 102), 3, np.array([0.5, -1.25, 3e-8], np.float32))
    again = Probe.from_metadata(probe.to_metadata())
    assert again is not None
    assert (again.ids, again.layer) == (probe.ids, probe.layer)
    np.testing.assert_array_equal(again.expected, probe.expected)
    assert Probe.from_metadata({}) is None


@pytest.mark.parametrize("text", ["", "{}", '{"ids": [1], "layer": 1, "expected": "?"}', '{"ids": 1}'])
def test_a_probe_that_cannot_be_read_is_corrupt(text: str) -> None:
    (key,) = Probe((1,), 1, np.ones(1, np.float32)).to_metadata()
    with pytest.raises(ArtifactError) as caught:
        Probe.from_metadata({key: text})
    assert caught.value.code is ErrorCode.ARTIFACT_CORRUPT
