"""Graphs by hand, and what a session says of a bad one."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from manyheads.infra.onnx.graph import GraphBuilder
from manyheads.infra.onnx.sessions import cpu_session
from manyheads.topics.errors import ArtifactError, ErrorCode


def _halves() -> bytes:
    graph = GraphBuilder("halves")
    x = graph.input("x", np.float32, ["rows", 4])
    left, right = graph.add("Split", x, outputs=2, axis=1, num_outputs=2)
    one = graph.constant(np.float32(1), "one")
    assert graph.constant(np.float32(1), "again") == one
    graph.output("sum", graph.add("Add", graph.add("Add", left, right), one), np.float32, ["rows", 2])
    return graph.build({"made": "by hand"})


def test_a_graph_runs_and_keeps_its_metadata(tmp_path: Path) -> None:
    file = tmp_path / "halves.onnx"
    file.write_bytes(_halves())
    session = cpu_session(file)
    (result,) = session.run(["sum"], {"x": np.arange(8, dtype=np.float32).reshape(2, 4)})
    np.testing.assert_array_equal(result, [[3, 5], [11, 13]])
    assert session.get_modelmeta().custom_metadata_map == {"made": "by hand"}


def test_a_node_that_reads_an_unknown_value_is_refused_at_build() -> None:
    graph = GraphBuilder("broken")
    graph.output("y", graph.add("Abs", "nowhere"), np.float32, ["rows"])
    with pytest.raises(onnx.checker.ValidationError):
        graph.build()


@pytest.mark.parametrize("keep", [0, 10, 100])
def test_a_cut_model_is_a_corrupt_artifact(keep: int) -> None:
    with pytest.raises(ArtifactError) as caught:
        cpu_session(_halves()[:keep])
    assert caught.value.code is ErrorCode.ARTIFACT_CORRUPT
    assert caught.value.details["bytes"] == keep


def test_a_missing_file_is_a_missing_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        cpu_session(tmp_path / "none.onnx")
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING
