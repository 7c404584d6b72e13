"""The SDK brings nothing heavy."""

import subprocess
import sys

_IMPORT_AND_LIST = "import sys, manyheads.producers; print(*{name.partition('.')[0] for name in sys.modules})"
_NOT_OF_THE_BASE_INSTALL = {
    "confluent_kafka",
    "fsspec",
    "kafka",
    "numpy",
    "onnx",
    "onnxruntime",
    "opentelemetry",
    "prometheus_client",
    "rich",
    "tokenizers",
    "torch",
    "transformers",
    "typer",
}


def test_importing_the_sdk_imports_the_base_install_only() -> None:
    command = [sys.executable, "-c", _IMPORT_AND_LIST]
    imported = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert "aiokafka" in imported
    assert imported & _NOT_OF_THE_BASE_INSTALL == set()
