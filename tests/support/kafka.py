"""The Kafka that tests run on: the embedded one, or Apache's image in containers with ``--kafka=container``."""

import gc
import warnings
from types import TracebackType
from typing import Protocol, Self

from manyheads.infra.broker import EmbeddedKafka, Login
from manyheads.infra.broker.jars import class_path
from manyheads.infra.broker.java import find_java
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.errors import ArtifactError
from tests.support.missing import missing


class Kafka(Protocol):
    """What tests may do with a Kafka; :class:`manyheads.infra.broker.EmbeddedKafka` can do it, and more.

    Whatever happens to a broker between start and stop, its address stays the same. Brokers are counted from 0.
    """

    @property
    def bootstrap_servers(self) -> str:
        """Every broker as ``host:port``, separated by commas."""

    def settings(self) -> KafkaSettings:
        """The settings of a client, with the login if one is asked for."""

    def start(self) -> None:
        """Start it, and return when every broker serves."""

    def stop(self) -> None:
        """Stop it, and leave nothing of it."""

    def kill(self, node: int = 0) -> None:
        """End one broker by SIGKILL, as a crash would; :meth:`restart` brings it back."""

    def freeze(self, node: int = 0) -> None:
        """Halt one broker, as a machine that hangs: it keeps its connections and answers nothing."""

    def thaw(self, node: int = 0) -> None:
        """Let a broker go on that :meth:`freeze` has halted."""

    def restart(self, node: int = 0) -> None:
        """Stop one broker, if it runs, start it again with the same data, and return when it serves."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NewKafka(Protocol):
    """Makes a Kafka of the caller's own, without topics; ``with`` starts and stops it."""

    def __call__(self, brokers: int = 1, *, login: Login | None = None) -> Kafka:
        """One broker or three; clients must present the ``login``, if there is one, by SASL."""


def embedded() -> NewKafka:
    """Embedded brokers, if this machine has what they need or can download it."""
    try:
        find_java()
        class_path()
    except ArtifactError as error:
        missing("the embedded broker", str(error))
    return EmbeddedKafka


def in_containers() -> NewKafka:
    """Brokers in containers, if this machine has Docker, and the image or a registry."""
    from docker.errors import DockerException

    from tests.support.container_kafka import ContainerKafka, fetch_image

    failure: str | None = None
    with warnings.catch_warnings():
        # docker leaves the sockets of failed connections to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            fetch_image()
        except DockerException as error:
            failure = str(error)
        gc.collect()
    if failure is not None:
        missing("Docker or Kafka's image", failure)
    return ContainerKafka
