"""``manyheads demo -b``: the demo's traffic on a pipeline that runs already."""

import subprocess
import sys

from manyheads.infra.settings import KafkaSettings
from tests.broker.pipelines import SHOP, Pipelines


def demo(servers: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "manyheads.cli"]
    arguments = ["demo", "--bootstrap-servers", servers, "--requests", "60"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_it_asks_the_demo_tenants_that_are_served_there(pipelines: Pipelines) -> None:
    done = demo(pipelines.stack.settings.bootstrap_servers)
    assert done.returncode == 0, done.stderr
    assert "60 of 60 answered, 0 errors, 0 lost" in done.stdout
    assert SHOP.tenant in done.stdout
    assert pipelines.heads["en"].version in done.stdout


def test_a_kafka_without_the_ring_is_told_apart(kafka_settings: KafkaSettings, topic_admin: object) -> None:
    done = demo(kafka_settings.bootstrap_servers)
    assert done.returncode == 1
    assert "there is no ring en" in done.stderr
