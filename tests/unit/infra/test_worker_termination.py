"""SIGTERM while a worker starts, to a real process, whatever its main thread is waiting for."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

WAITS_IN_PYTHON = "threading.Event().wait(600)"
WAITS_IN_C = "confluent_kafka.Producer({'bootstrap.servers': '127.0.0.1:1', 'log_level': 0}).list_topics(timeout=600)"
WAITS_WITH_A_THREAD = "threading.Thread(target=time.sleep, args=(600,)).start() or time.sleep(600)"

PROGRAM = """
import sys, threading, time
import confluent_kafka
from manyheads.infra.worker.program import WorkerProgram
from manyheads.infra.worker.settings import WorkerSettings

def run(settings, kafka, store):
    print("started", flush=True)
    {body}

sys.exit(WorkerProgram("tests.slow", "", "", WorkerSettings, run).main([]))
"""

SERVES = """from tests.support.stages import AskedStage
    from manyheads.infra.kafka.memory import MemoryKafka
    from manyheads.infra.stage.options import LaneInput
    from manyheads.topics.names import Lane
    from manyheads.infra.stage.worker import StageWorker, run_until_signalled
    stage = AskedStage()
    stage.prepare = lambda budget_s: print("serving", flush=True) is None
    topic = LaneInput(Lane.INTERACTIVE, "en", "nlu.en.requests", "group")
    run_until_signalled(StageWorker(MemoryKafka({topic.topic: 1, topic.topic + "-dlt": 1}), stage, [topic]))"""


@pytest.fixture
def children() -> Iterator[ExitStack]:
    with ExitStack() as running:
        yield running


def started(children: ExitStack, body: str) -> subprocess.Popen[str]:
    """A worker that has come to ``body``."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("{body}", body)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    children.enter_context(child)
    children.callback(child.kill)
    assert child.stdout is not None
    assert child.stdout.readline() == "started\n"
    return child


@pytest.mark.parametrize("body", [WAITS_IN_PYTHON, WAITS_IN_C, WAITS_WITH_A_THREAD])
def test_it_ends_with_143_and_says_why(children: ExitStack, body: str) -> None:
    child = started(children, body)
    child.send_signal(signal.SIGTERM)
    _, log = child.communicate(timeout=30)
    assert child.returncode == 143
    assert {json.loads(line)["event"] for line in log.splitlines()} & {"start_ended", "start_interrupted"}
    assert "Traceback" not in log


def test_once_it_serves_it_drains(children: ExitStack) -> None:
    child = started(children, SERVES)
    assert child.stdout is not None
    assert child.stdout.readline() == "serving\n"
    child.send_signal(signal.SIGTERM)
    _, log = child.communicate(timeout=30)
    assert child.returncode == 0
    said = [json.loads(line)["event"] for line in log.splitlines()]
    assert said[-1] == "worker_stopped"
    assert "signal_received" in said


def test_a_worker_that_waits_for_kafka_ends_too(children: ExitStack) -> None:
    """The real program, before it has said anything but where its metrics are."""
    environment = os.environ | {
        "MANYHEADS_RING": "en",
        "MANYHEADS_CELL": "c0",
        "MANYHEADS_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "MANYHEADS_METRICS_PORT": "0",
    }
    command = [sys.executable, "-m", "manyheads.head_worker"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    children.enter_context(child)
    children.callback(child.kill)
    assert child.stderr is not None
    assert json.loads(child.stderr.readline())["event"] == "metrics_served"
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=30)
    assert child.returncode == 143
