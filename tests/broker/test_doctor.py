"""The doctor on a real stack: a healthy one is well, and each thing that is broken is named with what to do."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from typer.testing import CliRunner

from manyheads.cli.app import app
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker import Login
from manyheads.infra.doctor import DoctorOptions, Finding, Status, examine
from manyheads.infra.local import LocalStack
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.topics.catalogue import TopicSpec, ring_topics
from manyheads.topics.names import REGISTRY_TOPIC, CellName, RingName, cell, requests_topic, tenant
from manyheads.topics.registry import ArtifactRef, RegistryRecord
from tests.broker.pipelines import EN, FR, Pipelines
from tests.support.kafka import NewKafka
from tests.support.records import C0, encoder_record, head_record, placement_record, ring_record

ACME = tenant("acme")
PATIENCE_S = 120.0


class Examined(Protocol):
    """See the fixture."""

    def __call__(self, wanted: RingName, *, deep: bool = False) -> list[Finding]: ...


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BOOTSTRAP_SERVERS", "STORE_URL", "STORE_CACHE_DIR", "SECURITY_PROTOCOL"):
        monkeypatch.delenv(f"MANYHEADS_{name}", raising=False)


@pytest.fixture
def stack(pipelines: Pipelines) -> LocalStack:
    """A stack that serves."""
    return pipelines.stack


@pytest.fixture
def examined(stack: LocalStack) -> Examined:
    """Call it to have a ring of the stack examined."""

    def examined(wanted: RingName, *, deep: bool = False) -> list[Finding]:
        return list(examine(DoctorOptions(stack.settings.bootstrap_servers, stack.store.url, wanted, deep=deep)))

    return examined


@pytest.fixture
def writer(stack: LocalStack) -> Iterator[RegistryWriter]:
    with RegistryWriter(stack.settings) as writer:
        yield writer


@pytest.fixture
def broken(stack: LocalStack, unique_ring: RingName, writer: RegistryWriter) -> Iterator[RingName]:
    """A ring with topics, an encoder and its file, and no workers; each test breaks something of it."""
    stack.create_topics(unique_ring, [C0])
    encoder = encoder_record(unique_ring, stack.store.put("encoder.onnx", unique_ring.encode()))
    record = ring_record(unique_ring)
    writer.put(record, encoder)
    yield unique_ring
    writer.delete(record.key, encoder.key, *(each.key for each in placed(unique_ring, encoder.artifacts[0])))
    with TopicAdmin(stack.settings) as admin:
        admin.delete(spec.name for spec in ring_topics(unique_ring, [C0]))


def placed(of: RingName, artifact: ArtifactRef, in_cell: CellName = C0) -> tuple[RegistryRecord, ...]:
    """A head and its placement."""
    return head_record(of, ACME, artifact), placement_record(of, ACME, in_cell)


def wrong(findings: list[Finding], area: str) -> list[Finding]:
    return [finding for finding in findings if finding.area == area and finding.status is not Status.OK]


def test_a_healthy_stack_is_well(examined: Examined) -> None:
    # Not ring ``en``, in which other tests leave what is not well.
    until = time.monotonic() + PATIENCE_S
    findings = examined(FR, deep=True)
    while wrong(findings, "workers") and time.monotonic() < until:  # a worker reports every two seconds
        findings = examined(FR, deep=True)
    here = [finding for finding in findings if finding.area != "machine"]
    assert [finding for finding in here if finding.status is not Status.OK] == []
    assert [*dict.fromkeys(finding.area for finding in findings)] == [
        "settings",
        "broker",
        "registry",
        "topics",
        "store",
        "workers",
        "clocks",
        "machine",
    ]
    seen = {(finding.area, finding.subject): finding.seen for finding in here}
    assert "1 cell (c0), 1 tenant" in seen["registry", "ring fr"]
    assert "all 16 partitions read" in seen["workers", "nlu.fr.c0.head"]
    assert "2 workers ready" in seen["workers", "reports"]
    assert "digest" in seen["store", "artifacts"]
    assert "2 within" in seen["clocks", "workers"]


def test_a_worker_that_was_killed_is_named(pipelines: Pipelines, examined: Examined) -> None:
    workers = pipelines.stack.workers
    number = 4  # the last one that the pipelines start: the head worker of ring fr
    name = f"head-worker-{number} (head)"
    workers.kill(number)
    try:
        until = time.monotonic() + PATIENCE_S
        found: dict[str, Finding] = {}
        while name not in found or found["nlu.fr.c0.head"].status is not Status.FAIL:
            assert time.monotonic() < until, found
            found = {finding.subject: finding for finding in examined(FR) if finding.area == "workers"}
    finally:
        workers.restart(number)
    assert found[name].status is Status.WARN
    assert "its last report, as ready, is" in found[name].seen
    assert found[name].advice.startswith("killed, or without Kafka: look for process ")
    assert found["nlu.fr.c0.head"].seen == "no worker reads nlu.fr.c0.embeddings: its requests wait"
    assert found["nlu.fr.c0.head"].advice == (
        "start one: MANYHEADS_RING=fr MANYHEADS_CELL=c0 python -m manyheads.head_worker"
    )
    assert found["nlu.fr.encoder"].status is Status.OK


def test_the_command_prints_it_and_says_so_by_its_exit_code(stack: LocalStack, broken: RingName) -> None:
    where = ["-b", stack.settings.bootstrap_servers, "--store", stack.store.url, "--json"]
    good = CliRunner().invoke(app, ["doctor", *where, "--ring", "fr"])
    assert good.exit_code == 0
    lines = [json.loads(line) for line in good.stdout.splitlines()]
    assert all(line.keys() == {"area", "subject", "status", "seen", "advice"} for line in lines)
    bad = CliRunner().invoke(app, ["doctor", *where, "--ring", broken])
    assert bad.exit_code == 1
    assert {json.loads(line)["status"] for line in bad.stdout.splitlines()} >= {"ok", "fail"}


def test_people_read_the_advice_and_the_totals(stack: LocalStack, broken: RingName) -> None:
    where = ["-b", stack.settings.bootstrap_servers, "--store", stack.store.url, "--ring", broken]
    shown = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["doctor", *where]).stdout
    assert "→ start one: MANYHEADS_RING=" in " ".join(shown.split())
    assert "6 wrong" in shown, "each group of the encoder and of the cell lacks a worker"


def test_a_ring_without_workers(examined: Examined, broken: RingName) -> None:
    found = [finding for finding in wrong(examined(broken), "workers") if finding.status is Status.FAIL]
    assert [finding.subject for finding in found] == [
        f"nlu.{broken}.encoder",
        f"nlu.{broken}.encoder.batch",
        f"nlu.{broken}.c0.head",
        f"nlu.{broken}.c0.head.transient",
        f"nlu.{broken}.c0.head.batch",
        f"nlu.{broken}.c0.head.transient.batch",
    ]
    assert found[0].advice == f"start one: MANYHEADS_RING={broken} python -m manyheads.encoder_worker"
    assert found[2].advice == f"start one: MANYHEADS_RING={broken} MANYHEADS_CELL=c0 python -m manyheads.head_worker"


def test_a_missing_topic_and_a_wrong_setting(stack: LocalStack, examined: Examined, broken: RingName) -> None:
    gone, changed = f"nlu.{broken}.c0.embeddings", requests_topic(broken)
    with TopicAdmin(stack.settings) as admin:
        admin.delete([gone])
        admin.ensure([TopicSpec(changed, 1, {"max.message.bytes": "1000", "retention.ms": "60000"})])
    first, second = wrong(examined(broken), "topics")
    assert (first.subject, second.subject) == (changed, gone)
    assert first.status is second.status is Status.FAIL
    assert "max.message.bytes=1000" in first.seen
    assert "retention.ms=60000" in first.seen
    assert second.seen == "missing"
    assert first.advice.endswith(f"manyheads topics create --ring {broken} --cell c0")
    assert second.advice.endswith(f"manyheads topics create --ring {broken} --cell c0")


def test_a_head_whose_file_is_not_there(
    stack: LocalStack, examined: Examined, broken: RingName, writer: RegistryWriter
) -> None:
    writer.put(*placed(broken, ArtifactRef(name="head.onnx", sha256="0" * 64, bytes=9)))
    (finding,) = wrong(examined(broken), "store")
    assert finding.status is Status.FAIL
    assert f"1 of 2 cannot be read: head v1 of acme in ring {broken}" in finding.seen
    assert f"manyheads train acme EXAMPLES --ring {broken}" in finding.advice


def test_a_damaged_file_is_found_by_reading_it(
    stack: LocalStack, examined: Examined, broken: RingName, writer: RegistryWriter
) -> None:
    ref = stack.store.put("head.onnx", f"head of {broken}".encode())
    writer.put(*placed(broken, ref))
    path = Path(stack.store.url) / "sha256" / ref.sha256[:2] / ref.sha256
    path.write_bytes(bytes(ref.bytes))
    assert wrong(examined(broken), "store") == []
    (finding,) = wrong(examined(broken, deep=True), "store")
    assert finding.status is Status.FAIL
    assert "1 of 2 is damaged: head v1 of acme" in finding.seen


def test_a_placement_in_a_cell_that_nobody_serves(
    stack: LocalStack, examined: Examined, broken: RingName, writer: RegistryWriter
) -> None:
    writer.put(*placed(broken, stack.store.put("head.onnx", b"sound"), cell("c9")))
    (finding,) = wrong(examined(broken), "registry")
    assert finding.status is Status.FAIL
    assert "1 tenant placed in a cell that the ring does not have: acme" in finding.seen
    assert "--cell" in finding.advice


def test_a_ring_that_is_not_registered(examined: Examined, unique_ring: RingName) -> None:
    (finding,) = wrong(examined(unique_ring), "registry")
    assert finding.status is Status.FAIL
    assert finding.advice == f"build it: manyheads encoder build --ring {unique_ring}"


def test_a_broker_without_topics_and_then_one_that_is_down(new_kafka: NewKafka, tmp_path: Path) -> None:
    with new_kafka() as kafka:
        bare = list(examine(DoctorOptions(kafka.bootstrap_servers, str(tmp_path), EN)))
        kafka.kill()
        down = list(examine(DoctorOptions(kafka.bootstrap_servers, str(tmp_path), EN, timeout_s=2)))
    failed = {finding.subject for finding in wrong(bare, "topics") if finding.status is Status.FAIL}
    assert failed >= {REGISTRY_TOPIC, "nlu.replies"}
    (finding,) = wrong(bare, "registry")
    assert finding.status is Status.UNKNOWN
    assert "manyheads topics create" in finding.seen
    assert wrong(bare, "broker") == []

    finding = wrong(down, "broker")[0]
    assert (finding.subject, finding.status) == (kafka_address(down), Status.FAIL)
    assert "start the broker" in finding.advice
    for area in ("registry", "topics", "store", "workers", "clocks"):
        assert {each.status for each in down if each.area == area} == {Status.UNKNOWN}
    assert any(each.area == "machine" and each.status is Status.OK for each in down)


def kafka_address(findings: list[Finding]) -> str:
    return findings[0].seen.partition(" ")[0]


def test_a_wrong_password_is_named_and_never_shown(
    new_kafka: NewKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "me"}
    for name, value in options.items():
        monkeypatch.setenv(f"MANYHEADS_{name}", value)
    with new_kafka(login=Login("me", "the-right-one")) as kafka:
        monkeypatch.setenv("MANYHEADS_SASL_PASSWORD", "the-wrong-one")
        refused = list(examine(DoctorOptions(kafka.bootstrap_servers, str(tmp_path))))
        monkeypatch.setenv("MANYHEADS_SASL_PASSWORD", "the-right-one")
        accepted = list(examine(DoctorOptions(kafka.bootstrap_servers, str(tmp_path))))
    login = next(finding for finding in refused if finding.subject == "login")
    assert login.status is Status.FAIL
    assert "MANYHEADS_SASL_PASSWORD" in login.advice
    assert wrong(accepted, "broker") == []
    assert "the-wrong-one" not in str(refused)
    assert "the-right-one" not in str(accepted)
