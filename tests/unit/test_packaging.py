"""What `pip install manyheads` brings: all the code, none of the tests, and nothing heavy."""

import email
import subprocess
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "topics": "topics",
    "infra": "infra",
    "cli": "infra",
    "producers": "producers",
    "encoder_worker": "encoder_worker",
    "head_worker": "head_worker",
}
BASE = {"aiokafka", "msgpack", "pydantic", "pydantic-settings"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built in this process: no network, no environment of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(built)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def requirements(metadata: Message) -> list[Requirement]:
    return [Requirement(text) for text in metadata.get_all("Requires-Dist") or []]


def test_every_package_is_there_and_typed(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for package in PACKAGES:
        assert f"manyheads/{package}/py.typed" in names
        assert any(name.startswith(f"manyheads/{package}/") and name.endswith(".py") for name in names)
    assert "manyheads/__init__.py" not in names


def test_every_file_of_the_packages_is_there_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Data files too, such as the lock file of the broker's jars."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", *(f"{c}/manyheads" for c in set(PACKAGES.values()))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    expected = {path.split("/", 1)[1] for path in tracked.stdout.split("\0") if path and (ROOT / path).exists()}
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert expected <= packed
    assert {name.split("/")[0] for name in packed} == {"manyheads"}
    assert not [name for name in packed if "test" in Path(name).name and name.endswith(".py")]
    assert not [name for name in packed if "__pycache__" in name]


def test_the_base_install_is_the_sdk_alone(metadata: Message) -> None:
    base = {requirement.name for requirement in requirements(metadata) if requirement.marker is None}
    assert base == BASE


def test_the_extras_are_there(metadata: Message) -> None:
    extras = set(metadata.get_all("Provides-Extra") or [])
    assert {"worker", "encoder", "head", "train", "cli", "broker", "build", "demo", "dev"} <= extras


@pytest.mark.parametrize("extra", ["worker", "encoder", "head", "train", "cli", "broker", "demo"])
def test_an_extra_without_torch(metadata: Message, extra: str) -> None:
    """It comes with CUDA, some 4.7 GB."""
    wanted = {
        requirement.name
        for requirement in requirements(metadata)
        if requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
    }
    assert wanted
    assert not wanted & {"torch", "transformers", "sentence-transformers"}


def test_the_licence_and_the_command_are_there(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    assert "manyheads = manyheads.cli:main" in wheel.read(entry_points).decode()


def test_the_version_is_stated_once(metadata: Message) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["Version"] == project["version"]
