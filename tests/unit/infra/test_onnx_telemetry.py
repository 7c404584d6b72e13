"""ONNX Runtime reports nothing to anybody."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import numpy as np
from manyheads.infra.onnx.graph import GraphBuilder
from manyheads.infra.onnx.sessions import cpu_session

assert "onnxruntime" not in sys.modules
graph = GraphBuilder("absolute")
graph.output("y", graph.add("Abs", graph.input("x", np.float32, ["rows"])), np.float32, ["rows"])
cpu_session(graph.build())
assert "onnxruntime" in sys.modules
"""


def test_onnx_runtime_keeps_no_files_of_its_own(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    own = os.environ | {"HOME": str(home), "TMPDIR": str(temporary)}
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        own.pop(name, None)
    subprocess.run([sys.executable, "-c", PROGRAM], env=own, check=True, timeout=60)
    assert [*home.iterdir(), *temporary.iterdir()] == []
