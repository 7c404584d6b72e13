"""The images: what is in them, and what is not."""

import json

import pytest

from tests.support.compose import ROOT, docker, needs_docker

MB = 1_000_000
LIMITS = {"sdk": 300 * MB, "head": 450 * MB, "encoder": 700 * MB}


@pytest.fixture(scope="module", params=LIMITS)
def role(request: pytest.FixtureRequest) -> str:
    """A role whose image has been built from what is here."""
    needs_docker()
    role = str(request.param)
    docker(
        "build", "--quiet", "-f", str(ROOT / "infra/docker/Dockerfile"), "--target", role, "-t", image(role), str(ROOT)
    )
    return role


def image(role: str) -> str:
    return f"manyheads/{role}:local"


def test_it_is_small(role: str) -> None:
    (found,) = json.loads(docker("image", "inspect", image(role)))
    assert found["Size"] < LIMITS[role]


def test_it_runs_as_nobody_special_and_has_no_torch(role: str) -> None:
    program = "import importlib.util as u, os; print(os.getuid(), u.find_spec('torch'), u.find_spec('onnx'))"
    assert docker("run", "--rm", "--entrypoint", "python", image(role), "-c", program).split() == [
        "10001",
        "None",
        "None",
    ]


def test_its_program_says_what_it_needs(role: str) -> None:
    if role == "sdk":
        program = "from manyheads.producers import Client; print(Client.__module__)"
        assert "manyheads.producers" in docker("run", "--rm", image(role), "python", "-c", program)
    else:
        assert "MANYHEADS_BOOTSTRAP_SERVERS" in docker("run", "--rm", image(role), "--help")
