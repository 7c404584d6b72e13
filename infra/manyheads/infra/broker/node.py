"""What one Kafka node is told: its server.properties and its command line. Pure; the cluster writes and runs them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from manyheads.infra.broker.ports import LOOPBACK
from manyheads.infra.broker.probe import Login
from manyheads.topics.limits import MAX_MESSAGE_BYTES

_SESSION_TIMEOUT_MS = 6_000
_HEARTBEAT_MS = 500
# Internal topics: a local cluster has few groups and transactions, and every partition costs files and start time.
_INTERNAL_PARTITIONS = 4
_HEAP_MB = 512


@dataclass(frozen=True, slots=True)
class Node:
    """One node, broker and controller in one, and the ports that it listens on."""

    id: int
    folder: Path
    client_port: int
    controller_port: int

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.client_port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def identity_file(self) -> Path:
        """Written when the data folder is formatted: the ids of the cluster and of the node."""
        return self.data / "meta.properties"

    @property
    def formatted(self) -> bool:
        return self.identity_file.exists()

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def logging_file(self) -> Path:
        return self.folder / "log4j2.properties"

    @property
    def options_file(self) -> Path:
        return self.folder / "java.options"

    @property
    def class_archive_draft(self) -> Path:
        """What Java writes in the end, where there was no archive of Kafka's classes."""
        return self.temporary / "classes.jsa"

    @property
    def properties_file(self) -> Path:
        return self.folder / "server.properties"


def node_properties(node: Node, nodes: Sequence[Node], login: Login | None = None) -> dict[str, str]:
    """The server.properties of ``node`` in a cluster of ``nodes``.

    With a ``login``, clients and the other brokers must present it (or a SCRAM credential made later).
    """
    copies = len(nodes)
    in_sync = min(2, copies)
    protocol = "PLAINTEXT" if login is None else "SASL_PLAINTEXT"
    properties: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": node.id,
        "controller.quorum.voters": ",".join(f"{each.id}@{LOOPBACK}:{each.controller_port}" for each in nodes),
        "listeners": f"CLIENTS://{node.address},CONTROLLERS://{LOOPBACK}:{node.controller_port}",
        "advertised.listeners": f"CLIENTS://{node.address}",
        "listener.security.protocol.map": f"CLIENTS:{protocol},CONTROLLERS:PLAINTEXT",
        "inter.broker.listener.name": "CLIENTS",
        "controller.listener.names": "CONTROLLERS",
        "log.dirs": node.data,
        # A broker that was killed may come back once its former life is given up.
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 500,
        # Topics come from the catalogue: a misspelt one must fail, not appear.
        "auto.create.topics.enable": "false",
        "num.partitions": 1,
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "message.max.bytes": MAX_MESSAGE_BYTES + (1 << 20),
        "replica.fetch.max.bytes": MAX_MESSAGE_BYTES + (1 << 20),
        # What is past its retention goes soon; the default of five minutes would keep transient embeddings longer.
        "log.retention.check.interval.ms": 5_000,
        # Internal topics
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": _INTERNAL_PARTITIONS,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": _INTERNAL_PARTITIONS,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": _INTERNAL_PARTITIONS,
        # A consumer that was killed is noticed soon, and a group need not wait for members to come. A member of the
        # classic protocol chooses its own session timeout; the broker only sets how short it may be.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1_000,
        "group.consumer.session.timeout.ms": _SESSION_TIMEOUT_MS,
        "group.consumer.min.session.timeout.ms": _SESSION_TIMEOUT_MS,
        "group.consumer.heartbeat.interval.ms": _HEARTBEAT_MS,
        "group.consumer.min.heartbeat.interval.ms": _HEARTBEAT_MS,
        # Small: the defaults are for a server of its own.
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.cleaner.dedupe.buffer.size": 4 << 20,
        "log.index.size.max.bytes": 1 << 20,
    }
    if login is not None:
        properties |= _sasl(login)
    return {name: str(value) for name, value in properties.items()}


def _sasl(login: Login) -> dict[str, object]:
    user, password = _quoted(login.username), _quoted(login.password)
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    return {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.clients.plain.sasl.jaas.config": (
            f"{plain} username={user} password={password} user_{login.username}={password};"
        ),
        "listener.name.clients.scram-sha-256.sasl.jaas.config": f"{scram};",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": f"{scram};",
    }


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def properties_text(properties: Mapping[str, str]) -> str:
    """Properties as Java reads them from a file."""
    return "".join(f"{name}={_escaped(value)}\n" for name, value in properties.items())


def _escaped(value: str) -> str:
    # Java reads properties files as Latin-1 with \uXXXX for UTF-16 units, and a backslash begins an escape.
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    characters = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(chr(unit) if 0x20 <= unit < 0x7F else f"\\u{unit:04x}" for unit in characters)


def java_options(node: Node, class_path: str, more: Iterable[str] = ()) -> str:
    """The options of Java for this node's processes, as the text of an argument file (``java @FILE``).

    C1 alone and the serial collector start fast and stay small. What Java would leave in the system's temporary
    folder (performance data, unpacked native libraries, crash reports) stays in the node's own, or is not made.
    """
    options = (
        f"-Xmx{_HEAP_MB}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        f"-XX:ErrorFile={node.folder / 'crash.log'}",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={node.temporary}",
        f"-Dlog4j2.configurationFile={node.logging_file}",
        f"-Dkafka.logs.dir={node.folder}",
        *more,
        "-cp",
        class_path,
    )
    return "".join(f"{_quoted(option)}\n" for option in options)
