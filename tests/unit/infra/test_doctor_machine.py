"""Settings, servers, this machine, and checks that cannot be made."""

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kafka.errors import ClusterAuthorizationFailedError, KafkaTimeoutError

from manyheads.infra.broker.ports import free_ports
from manyheads.infra.doctor import DoctorOptions, Status, examine, worst
from manyheads.infra.doctor.environment import judge_kafka, judge_names
from manyheads.infra.doctor.findings import Area, Finding
from manyheads.infra.doctor.guarding import guarded
from manyheads.infra.doctor.machine import Disk, Machine, judge_machine, measure_machine
from manyheads.infra.doctor.servers import Login, Step, judge_login, judge_servers, reach
from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.topics.errors import BrokerError, ErrorCode, InvalidSettings

CERTIFICATES = Path(__file__).parent / "certificates"
KEY_PASSWORD = "throwaway"
AREA = Area("area")
MACHINE = Machine("3.11.7", (("manyheads", "0.1.0"),), (Disk("/store", 50 * 10**9, 10**11),), 4_096, 8 * 10**9)

pytestmark = pytest.mark.usefixtures("no_settings")


# --- settings ---


@pytest.mark.parametrize(
    ("environment", "option", "source"),
    [
        ({}, False, "the default: MANYHEADS_BOOTSTRAP_SERVERS is not set"),
        ({"MANYHEADS_BOOTSTRAP_SERVERS": "a:1"}, False, "PLAINTEXT, MANYHEADS_BOOTSTRAP_SERVERS)"),
        ({"MANYHEADS_BOOTSTRAP_SERVERS": "a:1"}, True, "--bootstrap-servers"),
    ],
)
def test_where_kafka_is_and_who_said_so(environment: dict[str, str], option: bool, source: str) -> None:
    finding = judge_kafka(load_settings(KafkaSettings, bootstrap_servers="a:1"), environment, option)
    assert finding.seen.startswith("a:1 (")
    assert source in finding.seen


def test_a_slip_of_the_pen_in_a_variable_is_found() -> None:
    environment = {
        "MANYHEADS_BOOTSTRAP_SERVER": "a:1",
        "MANYHEADS_SASL_PASWORD": "secret",
        "MANYHEADS_RING": "en",
        "MANYHEADS_DASHBOARD_PORT": "8080",
        "BOOTSTRAP_SERVERS": "not ours",
    }
    first, second = judge_names(environment)
    assert (first.subject, first.advice) == ("MANYHEADS_BOOTSTRAP_SERVER", "did you mean MANYHEADS_BOOTSTRAP_SERVERS?")
    assert (second.subject, second.status) == ("MANYHEADS_SASL_PASWORD", Status.WARN)
    assert "secret" not in str(second)


def test_no_setting_of_a_worker_is_taken_for_a_slip() -> None:
    from manyheads.encoder_worker.settings import EncoderWorkerSettings
    from manyheads.head_worker.settings import HeadWorkerSettings

    fields = {*EncoderWorkerSettings.model_fields, *HeadWorkerSettings.model_fields}
    assert list(judge_names({f"MANYHEADS_{field.upper()}": "" for field in fields})) == []


# --- servers ---


def reached(address: str, **settings: object) -> tuple[Finding, ...]:
    loaded = load_settings(KafkaSettings, bootstrap_servers=address, **settings)
    return tuple(judge_servers(reach(address.split(","), loaded, 2.0)))


@pytest.fixture
def listener() -> Iterator[int]:
    """A port where somebody listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


@pytest.fixture
def tls_listener() -> Iterator[int]:
    """A port that speaks TLS with a certificate that nobody was told to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "cert.pem", CERTIFICATES / "key.pem", KEY_PASSWORD)

    def serve() -> None:
        connection, _ = silent.accept()
        with connection, pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        thread = threading.Thread(target=serve)
        thread.start()
        yield silent.getsockname()[1]
        thread.join(10)


def test_nobody_listens() -> None:
    (port,) = free_ports(1)
    (finding,) = reached(f"127.0.0.1:{port}")
    assert finding.status is Status.FAIL
    assert Step.CONNECT in finding.seen
    assert "start the broker" in finding.advice


def test_an_unknown_name() -> None:
    (finding,) = reached("no-such-host.invalid:9092")
    assert finding.status is Status.FAIL
    assert Step.RESOLVE in finding.seen


def test_one_of_two_is_enough(listener: int) -> None:
    (port,) = free_ports(1)
    missing, there = reached(f"127.0.0.1:{port},127.0.0.1:{listener}")
    assert (missing.status, there.status) == (Status.WARN, Status.OK)
    assert f"127.0.0.1:{listener}" in there.seen


def test_a_certificate_that_is_not_trusted(tls_listener: int) -> None:
    (finding,) = reached(f"127.0.0.1:{tls_listener}", security_protocol="SSL")
    assert finding.status is Status.FAIL
    assert Step.TLS in finding.seen
    assert "MANYHEADS_SSL_CA_FILE" in finding.advice


def test_a_refused_login_and_a_port_of_another_protocol() -> None:
    settings = load_settings(
        KafkaSettings, security_protocol="SASL_SSL", sasl_username="me", sasl_password="hidden-word"
    )
    refused = judge_login(Login(False, error="_AUTHENTICATION", reason="Authentication failed"), settings)
    silent = judge_login(Login(False, error="_TRANSPORT", reason="timed out"), settings)
    assert refused.status is silent.status is Status.FAIL
    assert "MANYHEADS_SASL_PASSWORD" in refused.advice
    assert "SCRAM-SHA-512 as me" in refused.seen
    assert "MANYHEADS_SECURITY_PROTOCOL=SASL_SSL" in silent.advice
    assert "hidden-word" not in f"{refused}{silent}"


# --- this machine ---


def test_a_machine_with_room() -> None:
    assert {finding.status for finding in judge_machine(MACHINE)} == {Status.OK}


@pytest.mark.parametrize(
    ("machine", "subject", "status"),
    [
        (replace(MACHINE, disks=(Disk("/store", 10**9, 10**11),)), "disk", Status.WARN),
        (replace(MACHINE, disks=(Disk("/store", 10**8, 10**11),)), "disk", Status.FAIL),
        (replace(MACHINE, open_files=256), "open files", Status.WARN),
        (replace(MACHINE, memory_bytes=10**8), "memory", Status.WARN),
        (replace(MACHINE, memory_bytes=None), "memory", Status.UNKNOWN),
    ],
)
def test_a_machine_that_lacks_something(machine: Machine, subject: str, status: Status) -> None:
    (finding,) = (finding for finding in judge_machine(machine) if finding.status is not Status.OK)
    assert (finding.subject, finding.status) == (subject, status)


def test_no_limit_of_open_files_is_fine() -> None:
    assert {finding.status for finding in judge_machine(replace(MACHINE, open_files=None))} == {Status.OK}


def test_this_machine_as_it_is(tmp_path: Path) -> None:
    machine = measure_machine([tmp_path / "not" / "there" / "yet"])
    (disk,) = machine.disks
    assert 0 < disk.free_bytes <= disk.total_bytes
    assert dict(machine.packages).keys() >= {"manyheads", "confluent-kafka"}
    assert not (tmp_path / "not").exists(), "nothing is created"


# --- checks that cannot be made ---


@pytest.mark.parametrize(
    ("error", "status", "seen", "advice"),
    [
        (BrokerError(ErrorCode.BROKER_UNREACHABLE, "no Kafka"), Status.UNKNOWN, "no Kafka", ""),
        (InvalidSettings(ErrorCode.INVALID_SETTINGS, "MANYHEADS_X is wrong"), Status.FAIL, "MANYHEADS_X", "correct"),
        (ClusterAuthorizationFailedError(), Status.UNKNOWN, "does not let us ask", "ACL"),
        (KafkaTimeoutError(), Status.UNKNOWN, "did not answer", "ask again"),
        (ZeroDivisionError("by 0"), Status.UNKNOWN, "ZeroDivisionError: by 0", "defect"),
    ],
)
def test_a_check_that_fails_says_so_after_what_it_found(
    error: Exception, status: Status, seen: str, advice: str
) -> None:
    def check() -> Iterator[Finding]:
        yield AREA.ok("first", "fine")
        raise error

    first, second = guarded(AREA, "second", check)
    assert first.subject == "first"
    assert (second.subject, second.status) == ("second", status)
    assert seen in second.seen
    assert advice in second.advice


def test_wrong_settings_hide_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MANYHEADS_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("MANYHEADS_SASL_USERNAME", "me")
    findings = list(examine(DoctorOptions(store_url=str(tmp_path))))
    kafka = findings[0]
    assert (kafka.area, kafka.subject, kafka.status) == ("settings", "kafka", Status.FAIL)
    assert "MANYHEADS_SASL_PASSWORD is not set" in kafka.seen
    statuses = {(finding.area, finding.subject): finding.status for finding in findings}
    assert statuses["settings", "store"] is statuses["machine", "disk"] is Status.OK
    assert statuses["registry", "nlu.registry"] is statuses["clocks", "this machine"] is Status.UNKNOWN


def test_the_worst_finding_decides() -> None:
    ok, unknown = AREA.ok("a", ""), AREA.unknown("b", "")
    warn, fail = AREA.warn("c", "", ""), AREA.fail("d", "", "")
    assert worst([]) is worst([ok]) is Status.OK
    assert worst([ok, unknown]) is Status.UNKNOWN
    assert worst([unknown, warn, ok]) is Status.WARN
    assert worst([fail, warn, ok, unknown]) is Status.FAIL
