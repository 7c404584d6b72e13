"""ONNX Runtime sessions with the options that many small models on few cores need."""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from manyheads.topics.errors import ArtifactError, ErrorCode

_ONLY_ERRORS = 3


class Session(Protocol):
    """What is used of a session of ONNX Runtime."""

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, npt.NDArray[np.generic]]) -> list[Any]:
        """The named outputs, or all of them, for these inputs."""

    def get_inputs(self) -> Sequence[Any]:
        """Each with its ``name``, ``type`` and ``shape``."""

    def get_overridable_initializers(self) -> Sequence[Any]:
        """The inputs that may be left out, each as those of :meth:`get_inputs`, which are the others."""

    def get_outputs(self) -> Sequence[Any]:
        """Each with its ``name``, ``type`` and ``shape``."""

    def get_modelmeta(self) -> Any:
        """The metadata: ``custom_metadata_map``."""


def cpu_session(model: bytes | Path, threads: int = 1) -> Session:
    """A session on the CPU that keeps no memory between runs and never spins while it waits.

    Args:
        model: the serialised graph, or the file that holds it.
        threads: threads of one run; 1 runs in the calling thread.

    Raises:
        ArtifactError: artifact_missing if there is no such file, artifact_corrupt if it is no graph that this
            version of ONNX Runtime can run.
    """
    if isinstance(model, Path) and not model.is_file():
        raise ArtifactError(
            ErrorCode.ARTIFACT_MISSING, f"there is no model file {model.name}; publish it again", file=model.name
        )
    onnxruntime = _runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # An arena never gives back what the longest batch took: 1,000 sessions would hold 1,000 peaks.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = _ONLY_ERRORS
    try:
        source = model if isinstance(model, bytes) else str(model)
        session: Session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # ONNX Runtime's errors share no base class below Exception
        raise ArtifactError(
            ErrorCode.ARTIFACT_CORRUPT,
            f"ONNX Runtime {onnxruntime.__version__} cannot load the model ({type(error).__name__}); "
            "build and publish it again, or upgrade onnxruntime",
            bytes=len(model) if isinstance(model, bytes) else model.stat().st_size,
            runtime=onnxruntime.__version__,
            cause=str(error)[:200],
        ) from error
    return session


def _runtime() -> ModuleType:
    # Its wheels report their use to their maker, and keep files for that, unless told not to before they are loaded.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return import_module("onnxruntime")
