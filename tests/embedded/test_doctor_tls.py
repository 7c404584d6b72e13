"""The doctor, and the lag, on a broker that clients reach by TLS."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from manyheads.infra.broker import EmbeddedKafka, Login, embedded
from manyheads.infra.broker.node import Node, node_properties
from manyheads.infra.broker.ports import LOOPBACK, free_ports
from manyheads.infra.doctor import DoctorOptions, Finding, Status, examine
from manyheads.infra.lag import LagMonitor
from manyheads.infra.settings import KafkaSettings, load_settings
from tests.support.lag import polled_until

CERTIFICATES = Path(__file__).parent / "certificates"
"""For 127.0.0.1, signed by itself; the key is encrypted in the one way that Java 17 can read."""
CERTIFICATE = CERTIFICATES / "cert.pem"


@pytest.fixture(scope="module")
def tls_address() -> Iterator[str]:
    """A listener for TLS beside the plain one, which the broker itself goes on using."""
    (port,) = free_ports(1)
    address = f"{LOOPBACK}:{port}"
    keystore = "listener.name.tls.ssl.keystore"
    one_line = {name: (CERTIFICATES / name).read_text("ascii").replace("\n", " ") for name in ("cert.pem", "key.pem")}

    def with_tls(node: Node, nodes: Sequence[Node], login: Login | None = None) -> dict[str, str]:
        plain = node_properties(node, nodes, login)
        return plain | {
            "listeners": f"{plain['listeners']},TLS://{address}",
            "advertised.listeners": f"{plain['advertised.listeners']},TLS://{address}",
            "listener.security.protocol.map": f"{plain['listener.security.protocol.map']},TLS:SSL",
            f"{keystore}.type": "PEM",
            f"{keystore}.certificate.chain": one_line["cert.pem"],
            f"{keystore}.key": one_line["key.pem"],
            "listener.name.tls.ssl.key.password": "throwaway",
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "node_properties", with_tls)
        with EmbeddedKafka():
            yield address


def examined(address: str, monkeypatch: pytest.MonkeyPatch, store: Path, **settings: object) -> dict[str, Finding]:
    """What is found of the broker, with the settings in the environment."""
    for name, value in settings.items():
        monkeypatch.setenv(f"MANYHEADS_{name}", str(value))
    findings = examine(DoctorOptions(address, str(store)))
    return {finding.subject: finding for finding in findings if finding.area == "broker"}


def test_a_certificate_that_is_trusted(tls_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = examined(tls_address, monkeypatch, tmp_path, SECURITY_PROTOCOL="SSL", SSL_CA_FILE=CERTIFICATE)
    assert {finding.status for finding in found.values()} == {Status.OK}
    assert "(SSL)" in found["login"].seen
    assert found["cluster"].seen.startswith("1 broker")
    settings = load_settings(
        KafkaSettings, bootstrap_servers=tls_address, security_protocol="SSL", ssl_ca_file=CERTIFICATE
    )
    with LagMonitor(settings) as monitor:
        polled_until(monitor, lambda each: each.broker is None)


def test_a_certificate_that_nobody_vouches_for(
    tls_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = examined(tls_address, monkeypatch, tmp_path, SECURITY_PROTOCOL="SSL")
    assert found[tls_address].status is Status.FAIL
    assert "the TLS handshake failed" in found[tls_address].seen
    assert "MANYHEADS_SSL_CA_FILE must name the authority" in found[tls_address].advice
    assert {finding.status for finding in found.values()} == {Status.FAIL, Status.UNKNOWN}


def test_a_client_that_does_not_speak_tls(tls_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = examined(tls_address, monkeypatch, tmp_path)
    assert found["reachable"].status is Status.OK, "somebody listens there"
    assert found["login"].status is Status.FAIL
    assert "SASL_SSL" in found["login"].advice
