"""``manyheads up`` as its users start it: with settings of their own around, and a Kafka that may die."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manyheads.infra.broker.ports import LOOPBACK, free_ports

OTHER_KAFKA = """
bootstrap_servers = "kafka.example.com:9093"
security_protocol = "SASL_SSL"
sasl_username = "ann"
sasl_password = "secret"
log_level = "ERROR"
"""
"""a file of settings, for commands that are to reach another one"""


@contextmanager
def running_up(folder: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """``manyheads up`` in the folder; it is gone afterwards, whatever happens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "manyheads.cli", "up", "--no-dashboard", "--head-workers", "1", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | variables | {"PYTHONUNBUFFERED": "1", "TMPDIR": str(folder)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """What it says up to the line that has ``pattern``."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if re.search(pattern, line):
            return said
    raise AssertionError(said)


def java_of(state: Path) -> int:
    """The process of its broker, which keeps its data under ``state``."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:  # it has ended meanwhile
                continue
            if b"kafka.Kafka" in line and bytes(state) in line:
                found.append(int(process.name))
    (java,) = found
    return java


def test_settings_for_other_programs_are_not_its_workers_and_a_dead_kafka_ends_it(tmp_path: Path) -> None:
    (tmp_path / "manyheads.toml").write_text(OTHER_KAFKA)
    (port,) = free_ports(1)
    with socket.create_server((LOOPBACK, 0)) as somebody:
        taken = str(somebody.getsockname()[1])
        with running_up(
            tmp_path, "--port", str(port), MANYHEADS_LOG_LEVEL="WARNING", MANYHEADS_METRICS_PORT=taken
        ) as process:
            said = read_until(process, "In another terminal")
            assert f"127.0.0.1:{port}" in said
            logs = tmp_path / ".manyheads" / "logs"
            for name in ("encoder-worker-0", "head-worker-1"):
                log = (logs / f"{name}.log").read_text()
                assert "worker_ready" in log
                assert taken not in log

            os.kill(java_of(tmp_path), signal.SIGKILL)
            assert process.stdout is not None
            said = process.stdout.read()
            assert process.wait(60) == 1, said
    assert "error: broker 0 has ended with SIGKILL; the end of its log:" in said
    assert "Stopped" in said
    assert "Traceback" not in said
