"""Can the brokers be reached, is the encryption right, are we let in?

Three steps, since each fails for a reason of its own: a connection to every server of ``bootstrap_servers``, with its
TLS handshake where the settings ask for one, and then one login by Kafka's protocol.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from manyheads.infra.doctor.findings import Area, Finding, some
from manyheads.infra.kafka.background import BackgroundCall
from manyheads.infra.kafka.errors import kafka_error, log
from manyheads.infra.settings import KafkaSettings, SecurityProtocol

BROKER = Area("broker")


class Step(StrEnum):
    """Where a connection failed."""

    RESOLVE = "its name is not known"
    CONNECT = "it cannot be connected to"
    TLS = "the TLS handshake failed"


_STEP_ADVICE = {
    Step.RESOLVE: "correct the host in MANYHEADS_BOOTSTRAP_SERVERS, or the name service of this machine",
    Step.CONNECT: "start the broker, or correct MANYHEADS_BOOTSTRAP_SERVERS; between them may be a firewall",
    Step.TLS: "MANYHEADS_SSL_CA_FILE must name the authority that signed the broker's certificate, and the port must "
    "be one that speaks TLS",
}


@dataclass(frozen=True, slots=True)
class Server:
    """One address of ``bootstrap_servers``, connected to once."""

    address: str
    milliseconds: float
    failed: Step | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """The answer to the first request by Kafka's protocol."""

    accepted: bool
    milliseconds: float = 0.0
    error: str = ""
    """the name that librdkafka gives it, such as ``_AUTHENTICATION``"""
    reason: str = ""
    brokers: tuple[str, ...] = ()
    """where the brokers say that they are, as ``host:port``"""


def reach(addresses: Sequence[str], settings: KafkaSettings, timeout_s: float) -> tuple[Server, ...]:
    """Connect to each ``host:port``, all at once. Raises InvalidSettings if a certificate cannot be read."""
    context: ssl.SSLContext | None = settings.kafka_python().get("ssl_context")
    with ThreadPoolExecutor(max_workers=max(1, len(addresses))) as threads:
        return tuple(threads.map(lambda address: _connect(address, context, timeout_s), addresses))


def _connect(address: str, context: ssl.SSLContext | None, timeout_s: float) -> Server:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    step, began = Step.CONNECT, time.perf_counter()
    try:
        with socket.create_connection((host, int(port)), timeout_s) as connection:
            if context is not None:
                step = Step.TLS
                with context.wrap_socket(connection, server_hostname=host):
                    pass
    except OSError as error:  # socket.gaierror, TimeoutError and ssl.SSLError are such
        failed = Step.RESOLVE if isinstance(error, socket.gaierror) else step
        return Server(address, _since(began), failed, error.strerror or str(error))
    return Server(address, _since(began))


def log_in(settings: KafkaSettings, timeout_s: float) -> Login:
    """Ask for the brokers as every worker does, with librdkafka: it tells why it is refused."""
    refusals: list[KafkaError] = []
    refused = (KafkaError._AUTHENTICATION, KafkaError._SSL)
    config: dict[str, Any] = settings.confluent() | {"error_cb": refusals.append}
    client = AdminClient(config, logger=log)
    began = time.perf_counter()
    call = BackgroundCall(lambda: client.list_topics(timeout=timeout_s))
    # librdkafka tries again and again for all of the time; a refusal is for good.
    while not call.wait(0.0):
        client.poll(0.02)
        found = next((error for error in refusals if error.code() in refused), None)
        if found is not None:
            return Login(False, _since(began), found.name(), _plain(found.str()))
    try:
        found_brokers = call.result().brokers.values()
    except KafkaException as raised:
        error = refusals[0] if refusals else kafka_error(raised)
        return Login(False, _since(began), error.name(), _plain(error.str()))
    return Login(True, _since(began), brokers=tuple(f"{broker.host}:{broker.port}" for broker in found_brokers))


def judge_servers(servers: Sequence[Server]) -> Iterator[Finding]:
    """A line for all that answer, and one for each that does not."""
    there = [server for server in servers if server.failed is None]
    for server in servers:
        if server.failed is None:
            continue
        seen = f"{server.failed} ({server.reason})"
        if there:
            yield BROKER.warn(server.address, seen, f"{_STEP_ADVICE[server.failed]}; the others are enough for now")
        else:
            yield BROKER.fail(server.address, seen, _STEP_ADVICE[server.failed])
    if there:
        slowest = max(server.milliseconds for server in there)
        names = some(server.address for server in there)
        yield BROKER.ok("reachable", f"{names} in {slowest:.0f} ms")


def judge_advertised(servers: Sequence[Server]) -> Iterator[Finding]:
    """Whether the brokers can be reached where they say they are: clients go there once they have asked."""
    for server in servers:
        if server.failed is not None:
            yield BROKER.fail(
                server.address,
                f"a broker says that it is here, but {server.failed} ({server.reason})",
                "set advertised.listeners of the broker to an address that its clients can reach",
            )


def judge_login(login: Login, settings: KafkaSettings) -> Finding:
    """Whether Kafka answers us, and if not, whose fault that is likely to be."""
    protocol = settings.security_protocol
    how = protocol.value + (f", {settings.sasl_mechanism} as {settings.sasl_username}" if protocol.sasl else "")
    if login.accepted:
        return BROKER.ok("login", f"accepted in {login.milliseconds:.0f} ms ({how})")
    seen = f"no answer to Kafka's protocol ({how}): {login.reason}"
    if login.error == "_AUTHENTICATION":
        return BROKER.fail(
            "login",
            f"refused ({how}): {login.reason}",
            "correct MANYHEADS_SASL_USERNAME, MANYHEADS_SASL_PASSWORD and MANYHEADS_SASL_MECHANISM, or add the user to "
            "the brokers",
        )
    others = ", ".join(other for other in SecurityProtocol if other is not protocol)
    return BROKER.fail(
        "login",
        seen,
        f"the port may speak another protocol than MANYHEADS_SECURITY_PROTOCOL={protocol}: {others}, or not Kafka's",
    )


def _plain(reason: str) -> str:
    # librdkafka begins with its own thread's and broker's names.
    return reason.rpartition("]: ")[2]


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
