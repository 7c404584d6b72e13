"""Health: what the parts say, what HTTP answers, and what a container's health check makes of it."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from manyheads.infra.telemetry import Health, Metrics, MetricsServer, serve_metrics


class Time:
    def __init__(self) -> None:
        self.now = 100.0


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def health(time: Time) -> Health:
    return Health(stuck_after_s=60.0, clock=lambda: time.now)


@pytest.fixture
def server(health: Health) -> Iterator[MetricsServer]:
    with serve_metrics(Metrics(), 0, health=health) as server:
        yield server


def asked(server: MetricsServer, page: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/{page}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def probed(*arguments: str, **environment: str) -> tuple[int, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MANYHEADS_")}
    done = subprocess.run(
        [sys.executable, "-m", "manyheads.infra.telemetry.probe", *arguments],
        env=clean | {f"MANYHEADS_{name}": value for name, value in environment.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_process_of_which_nothing_was_said_lives_and_is_not_ready(health: Health) -> None:
    assert (health.live(), health.ready) == (True, False)


def test_it_is_ready_once_every_part_is(health: Health) -> None:
    health.set("registry", True)
    health.set("worker", False, "partitions 0, 1 are being prepared")
    assert not health.ready
    health.set("worker", True)
    assert health.ready
    health.set("worker", False, "it is draining")
    assert not health.ready


def test_a_start_may_take_its_time_and_a_loop_may_not(health: Health, time: Time) -> None:
    health.set("worker", True)
    time.now += 1_000
    assert health.live()
    health.beat()
    time.now += 59
    assert health.live()
    assert health.ready
    time.now += 1
    assert not health.live()
    assert not health.ready
    health.beat()
    assert health.ready


def test_the_pages_answer_with_the_parts(server: MetricsServer, health: Health, time: Time) -> None:
    health.set("worker", False, "it is starting")
    assert asked(server, "healthz")[0] == 200
    status, said = asked(server, "readyz")
    assert (status, said["parts"]) == (503, {"worker": {"ready": False, "detail": "it is starting"}})
    health.set("worker", True)
    health.beat()
    time.now += 2
    assert asked(server, "readyz") == (
        200,
        {
            "live": True,
            "ready": True,
            "seconds_since_turn": 2.0,
            "parts": {"worker": {"ready": True, "detail": ""}},
        },
    )
    time.now += 60
    assert asked(server, "healthz")[0] == 503
    assert asked(server, "readyz")[0] == 503


@pytest.mark.parametrize("path", ["", "health", "metricsz"])
def test_other_paths_are_not_found(server: MetricsServer, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as error:
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/{path}", timeout=10)
    with error.value as answer:
        assert answer.read() == b"there is /metrics, /healthz, /readyz\n"


def test_the_probe_says_yes_and_no_and_why(server: MetricsServer, health: Health, time: Time) -> None:
    port = str(server.port)
    health.set("worker", False, "partitions 0, 1 of nlu.en.c0.embeddings are being prepared")
    assert probed(METRICS_PORT=port) == (
        1,
        "readyz: no; worker: partitions 0, 1 of nlu.en.c0.embeddings are being prepared\n",
    )
    assert probed("healthz", METRICS_PORT=port, METRICS_HOST="0.0.0.0") == (0, "healthz: yes\n")
    health.set("worker", True)
    assert probed("readyz", METRICS_PORT=port) == (0, "readyz: yes\n")
    health.beat()
    time.now += 75
    assert probed("healthz", METRICS_PORT=port) == (1, "healthz: no; the loop has not turned for 75 s\n")


def test_the_probe_of_nobody_says_no(server: MetricsServer) -> None:
    port = str(server.port)
    server.close()
    code, line = probed(METRICS_PORT=port)
    assert code == 1
    assert line.startswith(f"readyz: no answer from 127.0.0.1:{port}: ")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "port"), [((), ""), ((), "no"), ((), "0"), ((), "65536"), (("metrics",), "9100")]
)
def test_a_probe_that_cannot_ask_says_how(arguments: tuple[str, ...], port: str) -> None:
    code, line = probed(*arguments, METRICS_PORT=port)
    assert code == 2
    assert "MANYHEADS_METRICS_PORT=9100" in line
