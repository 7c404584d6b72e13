"""docker-compose.yml as a file: valid, and safe to run on anybody's machine. tests/compose runs it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]


def test_it_is_valid_compose() -> None:
    """By the schema of the Compose specification, which check-jsonschema ships."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_locked_down(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_bound_to_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert tag
    assert tag != "latest"


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_the_file(name: str) -> None:
    """What is one comes from the environment of whoever starts it: it has a name here, and no value."""
    secrets = ("PASSWORD", "SECRET", "TOKEN", "KEY")
    values = SERVICES[name].get("environment", {}).items()
    assert not [each for each, value in values if any(word in each for word in secrets) and value is not None]


def test_what_a_service_waits_for_is_a_condition() -> None:
    for service in SERVICES.values():
        for wanted in service.get("depends_on", {}).values():
            assert wanted["condition"] in ("service_healthy", "service_completed_successfully")
