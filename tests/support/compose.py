"""A stack of docker-compose.yml: a project of its own, on ports of its own, and nothing left after it."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from manyheads.infra.broker.ports import free_ports
from manyheads.infra.settings import KafkaSettings, load_settings
from tests.support.missing import missing

ROOT = Path(__file__).parents[2]
_PORTS = ("KAFKA", "KAFKA_2", "KAFKA_3", "PROMETHEUS", "DASHBOARD", "GRAFANA")
_PATIENCE_S = 240.0
_LOOK_EVERY_S = 0.5


def needs_docker() -> None:
    """A machine without Docker and its compose plugin may skip; the continuous integration may not."""
    try:
        subprocess.run(["docker", "compose", "version"], check=True, capture_output=True)
        subprocess.run(["docker", "info"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        missing("Docker or its compose plugin", str(error))


@dataclass(frozen=True)
class ComposeStack:
    """``docker compose`` in a project of this test's own."""

    profiles: tuple[str, ...] = ()
    project: str = field(default_factory=lambda: f"manyheads-test-{uuid4().hex[:8]}")
    ports: Mapping[str, int] = field(default_factory=lambda: dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True)))

    @property
    def settings(self) -> KafkaSettings:
        """How this machine reaches the stack's Kafka, any broker of it."""
        brokers = ("KAFKA", "KAFKA_2", "KAFKA_3") if "cluster" in self.profiles else ("KAFKA",)
        return load_settings(
            KafkaSettings, bootstrap_servers=",".join(f"localhost:{self.ports[each]}" for each in brokers)
        )

    @property
    def prometheus(self) -> str:
        return f"http://localhost:{self.ports['PROMETHEUS']}"

    @property
    def dashboard(self) -> str:
        return f"http://localhost:{self.ports['DASHBOARD']}"

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``docker compose`` with the arguments; its output is in the error if it fails."""
        ports = {f"MANYHEADS_{name}_PORT": str(port) for name, port in self.ports.items()}
        env = os.environ | ports | {"COMPOSE_PROJECT_NAME": self.project, "COMPOSE_ANSI": "never"}
        profiles = [part for profile in self.profiles for part in ("--profile", profile)]
        done = subprocess.run(
            ["docker", "compose", *profiles, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            pytest.fail(
                f"docker compose {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def up(self, *arguments: str) -> None:
        """Start what does not run yet, and return when every container is healthy."""
        self.compose("up", "--detach", *arguments)
        self.wait_until_healthy()

    def containers(self, service: str | None = None, *, every: bool = False) -> list[dict[str, Any]]:
        """What ``docker inspect`` says of the running containers, or of ``every`` one, of a service or of all."""
        filters = [f"label=com.docker.compose.project={self.project}"]
        filters += [] if service is None else [f"label=com.docker.compose.service={service}"]
        options = [part for each in filters for part in ("--filter", each)]
        ids = docker("ps", "--quiet", *options, *(["--all"] if every else [])).split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
        return found

    def wait_until_healthy(self) -> None:
        """Return when every running container is healthy."""
        deadline = time.monotonic() + _PATIENCE_S
        while waiting := [each["Name"] for each in self.containers() if _health(each) != "healthy"]:
            if time.monotonic() > deadline:
                logs = self.compose("logs", "--tail", "20", check=False).stdout
                pytest.fail(f"not healthy in time: {', '.join(waiting)}\n{logs}")
            time.sleep(_LOOK_EVERY_S)

    def crash(self, container: Mapping[str, Any]) -> None:
        """kill -9 of everything in the container; its restart policy starts it again."""
        # -1 is all that we may signal but init, which ends with them.
        docker("exec", container["Id"], "/bin/sh", "-c", "kill -9 -1", check=False)

    def leftovers(self) -> dict[str, str]:
        """What Docker still has of the project, by kind."""
        label = f"label=com.docker.compose.project={self.project}"
        found = {kind: docker(kind, "ls", "--quiet", "--filter", label) for kind in ("volume", "network")}
        found["container"] = docker("ps", "--all", "--quiet", "--filter", label)
        return {kind: names for kind, names in found.items() if names.strip()}


@contextmanager
def running(stack: ComposeStack) -> Iterator[ComposeStack]:
    """The stack, built and healthy; gone afterwards, with its volumes."""
    try:
        stack.compose("build", "--quiet")
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "10", check=False)


def docker(*arguments: str, check: bool = True) -> str:
    """What a docker command prints."""
    return subprocess.run(["docker", *arguments], check=check, capture_output=True, text=True).stdout


async def restarted(stack: ComposeStack, containers: Sequence[Mapping[str, Any]]) -> None:
    """Return when each of the containers has been started anew and all are healthy."""
    before = {each["Id"]: each["State"]["StartedAt"] for each in containers}
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        now = {each["Id"]: each["State"]["StartedAt"] for each in stack.containers()}
        if all(now.get(name, started) != started for name, started in before.items()):
            break
        assert time.monotonic() < deadline, f"never started again: {', '.join(before)}"
        await asyncio.sleep(_LOOK_EVERY_S)
    await asyncio.to_thread(stack.wait_until_healthy)


def _health(container: Mapping[str, Any]) -> str:
    health = container["State"].get("Health")
    return "no health check" if health is None else str(health["Status"])
