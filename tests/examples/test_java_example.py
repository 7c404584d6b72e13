"""The Java service, built by Maven, asks a running pipeline."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.examples.conftest import Pipeline
from tests.support.missing import program

PROJECT = Path(__file__).parents[2] / "examples" / "java-spring"
_OLDEST_JAVA = 17
# A short life costs half as much without what only a long one gains from.
_SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the service; it has been built from a copy, with this machine's Maven settings."""
    maven, _ = (
        program(name, advice=f"install Maven and a JDK of version {_OLDEST_JAVA} or newer") for name in ("mvn", "javac")
    )
    folder = tmp_path_factory.mktemp("java") / "service"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("target"))
    built = subprocess.run(
        [maven, "--batch-mode", "--no-transfer-progress", "package"],
        cwd=folder,
        env={"MAVEN_OPTS": " ".join(_SHORT_LIVED)} | os.environ,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return ["java", *_SHORT_LIVED, "-jar", str(folder / "target" / "nlu-service.jar")]


def ask(service: list[str], pipeline: Pipeline, tenant: str) -> list[str]:
    """What the service prints."""
    done = subprocess.run(
        [*service, tenant, pipeline.text],
        env=os.environ | {"MANYHEADS_BOOTSTRAP_SERVERS": pipeline.bootstrap_servers},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_it_prints_the_answer(service: list[str], pipeline: Pipeline) -> None:
    intent, *entities, head = ask(service, pipeline, pipeline.tenant)
    assert intent.startswith(f"{pipeline.intent} ")
    assert entities == [f"{label}: {words}" for label, words in pipeline.entities]
    assert head == f"head {pipeline.head}"


def test_an_error_has_its_code(service: list[str], pipeline: Pipeline) -> None:
    (line,) = ask(service, pipeline, "nobody")
    assert line.startswith("unknown_tenant: ")
    assert "nobody" in line
