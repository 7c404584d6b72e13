"""Kafka, the pipeline's topics, a model store and worker processes, all on this machine."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker import EmbeddedKafka
from manyheads.infra.local.workers import LocalWorkers
from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.infra.store import ModelStore, StoreSettings
from manyheads.topics.catalogue import ring_topics, shared_topics
from manyheads.topics.names import CellName, RingName


class RunningKafka(Protocol):
    """A Kafka that runs already, such as an :class:`EmbeddedKafka` after its start."""

    @property
    def bootstrap_servers(self) -> str:
        """Its brokers as ``host:port``, separated by commas."""

    def settings(self) -> KafkaSettings:
        """The settings of a client."""


class LocalStack:
    """A whole pipeline's surroundings; a context manager that stops everything in order.

    ::

        with LocalStack() as stack:
            stack.create_topics(ring("en"), [cell("c0")])
            ...  # register an encoder and heads
            stack.workers.start(encoder_worker(ring("en")), head_worker(ring("en"), cell("c0")))

    Whatever happens to this Python process, its processes are gone after it, and so are temporary folders.

    Attributes:
        kafka: the Kafka that it was given; else an embedded one, which is started on entry.
        workers: the worker processes; none at first.
        store: the model store, which the workers read.
    """

    kafka: RunningKafka
    workers: LocalWorkers
    store: ModelStore

    def __init__(self, folder: Path | None = None, port: int | None = None, kafka: RunningKafka | None = None) -> None:
        """Describe it; entering it starts it.

        Args:
            folder: keeps topics, models and logs, and has those of the last time; temporary folders if None.
            port: the embedded Kafka's port on 127.0.0.1; a free one if None.
            kafka: the Kafka to use, which keeps running and keeps its data; an embedded one if None.
        """
        self._folder = None if folder is None else folder.resolve()
        self._port = port
        self._given = kafka
        self._embedded: EmbeddedKafka | None = None
        self._resources = ExitStack()

    @property
    def settings(self) -> KafkaSettings:
        """How clients reach Kafka."""
        return self.kafka.settings()

    def create_topics(self, ring: RingName, cells: Iterable[CellName]) -> None:
        """Create what the ring lacks. Raises BrokerError."""
        with TopicAdmin(self.settings) as admin:
            admin.ensure([*shared_topics(), *ring_topics(ring, cells)])

    def check(self) -> None:
        """Whether all that was started here still runs.

        Raises:
            BrokerError: the embedded Kafka has ended by itself; the message has the end of its log.
            InternalError: a worker has, see :meth:`LocalWorkers.check`.
        """
        if self._embedded is not None:
            self._embedded.check()
        self.workers.check()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            self.kafka = self._given or self._start_kafka(resources)
            # Without a folder the models are in the workers' own, which their guard deletes even if we are killed.
            models = self._subfolder("store")
            store = None if models is None else load_settings(StoreSettings, store_url=str(models))
            self.workers = resources.enter_context(LocalWorkers(self.settings, store, self._subfolder("logs")))
            self.store = ModelStore(self.workers.store.store_url)
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def _start_kafka(self, resources: ExitStack) -> EmbeddedKafka:
        self._embedded = EmbeddedKafka(data_dir=self._subfolder("kafka"), port=self._port)
        return resources.enter_context(self._embedded)

    def _subfolder(self, name: str) -> Path | None:
        if self._folder is None:
            return None
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder
