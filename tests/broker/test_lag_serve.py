"""``manyheads lag serve`` as a process of its own: what it serves is what ``manyheads lag --json`` says."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.error import HTTPError

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from manyheads.cli.app import app
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker.ports import LOOPBACK, free_ports
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.names import CellName, RingName, dead_letter_topic, encoder_group, requests_topic
from tests.support.lag import PATIENCE_S, commit, producing, write


@dataclass
class Exporter:
    """A running ``manyheads lag serve``."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0

    def events(self, name: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    def get(self, path: str) -> tuple[int, str]:
        """The status and the body."""
        try:
            answer: HTTPResponse = urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}{path}", timeout=PATIENCE_S)
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        with answer:
            return answer.status, answer.read().decode()

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """What Prometheus would read."""
        status, text = self.get("/metrics")
        assert status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """That of the only sample with these labels among its own."""
        found = [
            value for (each, has), value in self.samples().items() if each == name and set(labels.items()) <= set(has)
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def stop(self) -> int:
        """As systemd or Kubernetes would; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextmanager
def exporting(folder: Path, bootstrap_servers: str, *options: str) -> Iterator[Exporter]:
    log = folder / "exporter.log"
    command = [sys.executable, "-m", "manyheads.cli", "lag", "serve", "-b", bootstrap_servers, "--port", "0", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    exporter = Exporter(process, log)
    try:
        until = time.monotonic() + PATIENCE_S
        while not exporter.events("lag_serving"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        exporter.port = int(str(exporter.events("lag_serving")[0]["port"]))
        yield exporter
    finally:
        process.kill()
        process.wait()


def test_it_serves_what_the_command_says(
    kafka_settings: KafkaSettings,
    topic_admin: TopicAdmin,
    ring_with_topics: tuple[RingName, CellName],
    tmp_path: Path,
) -> None:
    ring = ring_with_topics[0]
    topic, group = requests_topic(ring), encoder_group(ring)
    with producing(kafka_settings) as producer:
        write(producer, topic, 9)
        write(producer, topic, 4, 1)
        write(producer, dead_letter_topic(topic), 2)
    commit(kafka_settings, group, topic, {0: 2, 1: 4})
    admin = AdminClient({**kafka_settings.confluent()})
    deleted = admin.delete_records([TopicPartition(topic, 1, 3)])
    assert [each.result(30).low_watermark for each in deleted.values()] == [3]

    servers = kafka_settings.bootstrap_servers
    said = CliRunner().invoke(app, ["lag", "-b", servers, "--group", re.escape(group), "--over", "0", "--json"])
    assert said.exit_code == 0, said.output
    (lag,) = json.loads(said.stdout)["groups"]
    assert (lag["lag"], [each["lag"] for each in lag["partitions"]]) == (7, [7, 0])

    with exporting(tmp_path, servers, "--group", re.escape(group), "--every", "0.2") as exporter:
        until = time.monotonic() + PATIENCE_S
        while exporter.get("/readyz")[0] != 200:
            assert time.monotonic() < until, exporter.get("/readyz")
        assert exporter.get("/healthz")[0] == 200
        for each in lag["partitions"]:
            at = {"topic": topic, "partition": str(each["partition"])}
            theirs, ours = {"consumergroup": group, **at}, {"group": group, **at}
            assert exporter.value("kafka_consumergroup_lag", **theirs) == each["lag"]
            assert exporter.value("kafka_consumergroup_current_offset", **theirs) == each["committed"]
            assert exporter.value("kafka_consumergroup_group_lag", **ours) == each["lag"]
            assert exporter.value("kafka_consumergroup_group_offset", **ours) == each["committed"]
            assert exporter.value("kafka_partition_latest_offset", **at) == each["end"]
            assert exporter.value("kafka_partition_earliest_offset", **at) == each["start"]
        assert exporter.value("kafka_consumergroup_group_sum_lag", group=group) == lag["lag"]
        assert exporter.value("kafka_consumergroup_group_topic_sum_lag", group=group, topic=topic) == lag["lag"]
        assert exporter.value("manyheads_lag_records", group=group, ring=ring, stage="encoder") == lag["lag"]
        oldest_s = exporter.value("manyheads_lag_oldest_seconds", group=group)
        assert oldest_s is not None
        assert oldest_s >= lag["oldest_age_s"], "measured later"
        assert exporter.value("manyheads_dead_letters_kept", topic=dead_letter_topic(topic)) == 2
        assert exporter.value("manyheads_lag_kafka_up", cluster_name="kafka") == 1
        assert exporter.get("/nothing-here")[0] == 404
        assert exporter.stop() == 0
    assert "Traceback" not in exporter.log.read_text()


@pytest.mark.parametrize("options", [[], ["--fail-on", "STALL", "--json"], ["--watch", "--every", "0.2"]])
@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (["--group", "nlu.en.c0.hed"], "no group matches --group 'nlu.en.c0.hed'"),
        (["--ring", "nope"], "no ring here is called 'nope'"),
    ],
)
def test_what_matches_nothing_is_an_error(
    kafka_settings: KafkaSettings, asked: list[str], problem: str, options: list[str]
) -> None:
    said = CliRunner().invoke(app, ["lag", "-b", kafka_settings.bootstrap_servers, *asked, "--over", "0", *options])
    assert said.exit_code == 1, said.output
    assert said.stderr.startswith(f"error: {problem}")
    assert said.stdout == "", "nothing that could be read as well"


def test_without_kafka_it_lives_and_is_not_ready(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with exporting(tmp_path, f"{LOOPBACK}:{port}", "--every", "0.2") as exporter:
        until = time.monotonic() + PATIENCE_S
        while exporter.value("manyheads_lag_kafka_up", cluster_name="kafka") is None:
            assert time.monotonic() < until
        assert {name for name, _ in exporter.samples()} == {
            "manyheads_lag_kafka_up",
            "manyheads_lag_round_seconds",
            "manyheads_lag_measured_timestamp_seconds",
        }
        assert exporter.value("manyheads_lag_kafka_up", cluster_name="kafka") == 0
        status, why = exporter.get("/readyz")
        assert status == 503
        assert f"no answer from Kafka at {LOOPBACK}:{port}" in why
        assert exporter.get("/healthz")[0] == 200
        assert exporter.stop() == 0
    assert len(exporter.events("kafka_away")) == 1, "told once"
