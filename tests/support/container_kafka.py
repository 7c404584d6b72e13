"""Apache's Kafka image in containers, through testcontainers."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from docker.errors import ImageNotFound
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from manyheads.infra.broker import Login
from manyheads.infra.broker.node import Node, node_properties, properties_text
from manyheads.infra.broker.ports import LOOPBACK, free_ports
from manyheads.infra.broker.probe import serving_brokers
from manyheads.infra.settings import KafkaSettings, SaslMechanism, SecurityProtocol, load_settings

IMAGE = "apache/kafka:4.3.1"
_FOLDER = Path("/var/lib/kafka")  # the image's own, writable; it outlives a restart of the container
_JAVA = {"KAFKA_HEAP_OPTS": "-Xmx512m", "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"}
_CONTROLLER_PORT, _BROKER_PORT = 9093, 9094  # within the containers' network
_START_S = 90.0
_STOP_S = 15
_LOOK_EVERY_S = 0.05
_LOG_TAIL_LINES = 30


def fetch_image() -> None:
    """Download the image unless it is there. Raises docker.errors.DockerException: no engine, or no such image."""
    container = DockerContainer(IMAGE)
    client = container.get_docker_client().client
    try:
        client.images.get(container.image)
    except ImageNotFound:
        client.images.pull(container.image)
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class _Broker:
    node: Node
    container: DockerContainer


class ContainerKafka:
    """One broker or three, told what the embedded ones are told; :class:`tests.support.kafka.Kafka` has the methods.

    Clients' ports are those of 127.0.0.1 alone. They are chosen here, and are the same inside a container and outside
    it: so what a broker advertises is right, and stays right when it restarts.

    When it is stopped, containers, volumes and network are gone. Should this process be killed, testcontainers' own
    watcher (Ryuk) removes them, unless the environment has turned it off.
    """

    def __init__(self, brokers: int = 1, *, login: Login | None = None) -> None:
        self._size = brokers
        self._login = login
        self._brokers: tuple[_Broker, ...] = ()
        self._running: set[int] = set()
        self._resources = ExitStack()

    @property
    def bootstrap_servers(self) -> str:
        assert self._brokers, "call start(), or use it with 'with'"
        return ",".join(broker.node.address for broker in self._brokers)

    def settings(self) -> KafkaSettings:
        login = self._login
        return load_settings(
            KafkaSettings,
            bootstrap_servers=self.bootstrap_servers,
            security_protocol=SecurityProtocol.SASL_PLAINTEXT if login else SecurityProtocol.PLAINTEXT,
            sasl_mechanism=SaslMechanism.PLAIN,
            sasl_username=login.username if login else None,
            sasl_password=login.password if login else None,
        )

    def start(self) -> None:
        if self._brokers:
            return
        ports = free_ports(self._size)
        nodes = [Node(index, _FOLDER, port, _CONTROLLER_PORT) for index, port in enumerate(ports)]
        with ExitStack() as resources:
            network = resources.enter_context(Network())
            self._brokers = tuple(
                _Broker(node, resources.enter_context(_container(node, nodes, self._login, network))) for node in nodes
            )
            self._running = set(range(self._size))
            self._wait_until_serving()
            self._resources = resources.pop_all()

    def stop(self) -> None:
        self._brokers = ()
        self._resources.close()

    def kill(self, node: int = 0) -> None:
        container = self._brokers[node].container
        container.get_wrapped_container().kill()
        container.wait()
        self._running.discard(node)

    def freeze(self, node: int = 0) -> None:
        self._brokers[node].container.get_wrapped_container().pause()

    def thaw(self, node: int = 0) -> None:
        self._brokers[node].container.get_wrapped_container().unpause()

    def restart(self, node: int = 0) -> None:
        container = self._brokers[node].container.get_wrapped_container()
        container.stop(timeout=_STOP_S)  # nothing happens if it does not run
        container.start()
        self._running.add(node)
        self._wait_until_serving()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_serving(self) -> None:
        until = time.monotonic() + _START_S
        for node, container in ((each.node, each.container) for each in self._brokers if each.node.id in self._running):
            while serving_brokers(LOOPBACK, node.client_port, self._login) < len(self._running):
                container.reload()
                if container.status != "running" or time.monotonic() > until:
                    log = container.get_wrapped_container().logs(tail=_LOG_TAIL_LINES).decode("utf-8", "replace")
                    raise AssertionError(f"broker {node.id} is {container.status} and does not serve:\n{log}")
                time.sleep(_LOOK_EVERY_S)


def _container(node: Node, nodes: Sequence[Node], login: Login | None, network: Network) -> DockerContainer:
    container = DockerContainer(IMAGE, env=_environment(_properties(node, nodes, login)))
    container.with_network(network).with_network_aliases(_host(node))
    # Docker takes an address with the port, which testcontainers' type does not know.
    container.ports = {f"{node.client_port}/tcp": (LOOPBACK, node.client_port)}  # type: ignore[dict-item]
    return container


def _properties(node: Node, nodes: Sequence[Node], login: Login | None) -> dict[str, str]:
    """The embedded broker's, but for the addresses: each node has its own, and brokers meet past the clients' login."""
    clients, among_brokers = f"CLIENTS://{node.address}", f"BROKERS://{_host(node)}:{_BROKER_PORT}"
    everywhere = {"CLIENTS": node.client_port, "BROKERS": _BROKER_PORT, "CONTROLLERS": _CONTROLLER_PORT}
    properties = node_properties(node, nodes, login)
    protocols = properties["listener.security.protocol.map"]
    return properties | {
        "listeners": ",".join(f"{name}://0.0.0.0:{port}" for name, port in everywhere.items()),
        "advertised.listeners": f"{clients},{among_brokers}",
        "listener.security.protocol.map": f"{protocols},BROKERS:PLAINTEXT",
        "inter.broker.listener.name": "BROKERS",
        "controller.quorum.voters": ",".join(f"{each.id}@{_host(each)}:{_CONTROLLER_PORT}" for each in nodes),
    }


def _host(node: Node) -> str:
    return f"kafka-{node.id}"


def _environment(properties: Mapping[str, str]) -> dict[str, str]:
    """Properties as the image reads them: it writes the values into a properties file as they are, so escaped."""
    lines = (line.partition("=") for line in properties_text(properties).splitlines())
    return _JAVA | {_variable(name): value for name, _, value in lines}


def _variable(name: str) -> str:
    return "KAFKA_" + name.upper().replace("_", "__").replace("-", "___").replace(".", "_")
