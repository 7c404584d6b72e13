"""Giving a ring its topics, encoder and heads: what ``up``, ``seed``, the demo and the end-to-end tests run on."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from manyheads.cli.demo.utterances import Examples
from manyheads.cli.provision import Registrar
from manyheads.cli.teaching import Lesson, Teacher
from manyheads.encoder_worker.build import EncoderBuild
from manyheads.infra.process import Guard
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.registry.follower import RegistryFollower
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store import ModelStore
from manyheads.topics.errors import BrokerError, ErrorCode
from manyheads.topics.names import CellName, RingName, TenantName
from manyheads.topics.registry import EncoderRecord, HeadRecord

BuildEncoder = Callable[[Path], EncoderBuild]
"""Builds an encoder into a folder."""

_SEEN_S = 10.0


class Deployment(Protocol):
    """Where a ring is set up: a running Kafka and a model store, such as a LocalStack's."""

    @property
    def settings(self) -> KafkaSettings:
        """How to reach Kafka."""

    @property
    def store(self) -> ModelStore:
        """The store that the ring's workers read."""

    def create_topics(self, ring: RingName, cells: tuple[CellName, ...]) -> None:
        """Create what the ring lacks. Raises BrokerError."""


class RingSetup:
    """One ring of a deployment, and what it is given: topics, encoder, heads; a context manager.

    Several may be open at one time, each with a ring of its own.
    """

    def __init__(self, deployment: Deployment, ring: RingName, cells: Sequence[CellName]) -> None:
        self._deployment = deployment
        self.ring = ring
        self.cells = tuple(cells)
        self._resources = ExitStack()
        self._teacher: Teacher | None = None

    def __enter__(self) -> Self:
        settings = self._deployment.settings
        self._deployment.create_topics(self.ring, self.cells)
        with ExitStack() as resources:
            self._follower = resources.enter_context(RegistryFollower(settings))
            self.registrar = Registrar(self._deployment.store, resources.enter_context(RegistryWriter(settings)))
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @property
    def registry(self) -> RegistrySnapshot:
        """The registry, with everything that was written here."""
        return self._follower.snapshot

    @property
    def encoder(self) -> EncoderRecord | None:
        """The ring's live encoder; None before there is one."""
        record = self.registry.ring(self.ring)
        return None if record is None else self.registry.encoder(self.ring, record.encoder)

    def install(self, build_encoder: BuildEncoder) -> tuple[EncoderRecord, EncoderBuild]:
        """Build an encoder and make it the ring's; the build's files are gone. Raises ArtifactError, BrokerError."""
        # The guard's temporary folder is deleted whatever happens to this process.
        with Guard() as guard:
            build = build_encoder(guard.folder)
            record = self.registrar.encoder(build, self.ring, self.cells, self.registry)
        self._wait_for(lambda found: found.encoder(self.ring, record.version) == record)
        self._teacher = None
        return record, build

    def teach(self, tenant: TenantName, examples: Examples, cell: CellName | None = None) -> HeadRecord:
        """Train a head with the ring's encoder and :meth:`publish` it. Raises ManyheadsError."""
        return self.publish(self.teacher.teach(tenant, examples), cell)

    def publish(self, lesson: Lesson, cell: CellName | None = None) -> HeadRecord:
        """Register a trained head and let it answer, in ``cell`` or the first. Raises ArtifactError, BrokerError."""
        head = self.registrar.head(lesson)
        placement = self.registrar.activate(head, cell or self.cells[0], self.registry)
        self._wait_for(lambda found: found.placement(self.ring, lesson.tenant) == placement)
        return head

    @property
    def teacher(self) -> Teacher:
        """Trains with the ring's live encoder, which it keeps loaded."""
        encoder = self.encoder
        assert encoder is not None, "install an encoder first"
        if self._teacher is None:
            self._teacher = Teacher.load(encoder, self._deployment.store)
        return self._teacher

    def _wait_for(self, written: Callable[[RegistrySnapshot], bool]) -> None:
        if not self._follower.wait_until(written, _SEEN_S):
            raise BrokerError(
                ErrorCode.BROKER_UNREACHABLE,
                f"the registry was written, but cannot be read back for {_SEEN_S:g} s; is the broker still running?",
            )
