"""The checks that ask Kafka, or that follow from its answers."""

import time
from collections.abc import Iterable, Iterator

from manyheads.infra.admin.client import AdminClient
from manyheads.infra.doctor import asking, clocks, cluster, registry, store, topics, workers
from manyheads.infra.doctor.findings import Area, Finding
from manyheads.infra.doctor.guarding import Check
from manyheads.infra.doctor.options import DoctorOptions
from manyheads.infra.doctor.partitions import Topic
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store import ModelStore
from manyheads.topics.catalogue import ring_topics, shared_topics
from manyheads.topics.names import TELEMETRY_TOPIC, CellName, RingName

NEEDS_KAFKA = (
    (cluster.BROKER, "cluster"),
    (cluster.BROKER, "partitions"),
    (registry.REGISTRY, "nlu.registry"),
    (topics.TOPICS, "catalogue"),
    (store.STORE, "artifacts"),
    (workers.WORKERS, "groups"),
    (workers.WORKERS, "reports"),
    (clocks.CLOCKS, "this machine"),
    (clocks.CLOCKS, "workers"),
)
"""The area and the subject of each check, in the order of the report."""


class ConnectedChecks:
    """One run of them. What an early check learned, later ones use: None if it was not to be had."""

    def __init__(
        self, settings: KafkaSettings, client: AdminClient, models: ModelStore | None, options: DoctorOptions
    ) -> None:
        self._settings = settings
        self._client = client
        self._models = models
        self._options = options
        self._brokers = 1
        self._topics: dict[str, Topic] | None = None
        self._registry: registry.Registry | None = None
        self._heard: tuple[workers.Heard, ...] = ()

    def in_order(self) -> Iterator[tuple[Area, str, Check]]:
        """The checks of :data:`NEEDS_KAFKA`; to be made in this order."""
        checks: tuple[Check, ...] = (
            self._check_cluster,
            self._check_partitions,
            self._check_registry,
            self._check_topics,
            self._check_artifacts,
            self._check_groups,
            self._check_reports,
            self._check_clock,
            self._check_workers_clocks,
        )
        for (area, subject), check in zip(NEEDS_KAFKA, checks, strict=True):
            yield area, subject, check

    def _check_cluster(self) -> Iterable[Finding]:
        found = asking.ask_cluster(self._client)
        self._brokers = len(found.brokers)
        return cluster.judge_cluster(found)

    def _check_partitions(self) -> Iterable[Finding]:
        found = asking.ask_topics(self._client)
        self._topics = {topic.name: topic for topic in found}
        return cluster.judge_partitions(found)

    def _check_registry(self) -> Iterable[Finding]:
        self._registry = asking.ask_registry(self._settings, self._options.timeout_s)
        yield from registry.judge_registry(self._registry, self._rings())
        if self._options.ring is None:
            yield from registry.judge_unregistered(self._registry.snapshot, topics.rings_of(self._topics or ()))

    def _check_topics(self) -> Iterable[Finding]:
        if self._topics is None:
            yield topics.TOPICS.unknown("catalogue", "the topics are not known")
            return
        rings = self._rings()
        shared_by = f"manyheads topics create --ring {rings[0] if rings else 'en'}"
        yield from topics.judge_topics("shared", shared_topics(), self._topics, shared_by)
        for ring in rings:
            cells = self._cells(ring)
            create = f"manyheads topics create --ring {ring}" + "".join(f" --cell {cell}" for cell in cells)
            yield from topics.judge_topics(f"ring {ring}", ring_topics(ring, cells), self._topics, create)
        yield from topics.judge_copies(self._topics.values(), self._brokers)

    def _check_artifacts(self) -> Iterable[Finding]:
        if self._models is None or self._registry is None:
            missing = "the registry" if self._models else "the store"
            yield store.STORE.unknown("artifacts", f"{missing} is not known")
            return
        wanted = tuple(registry.wanted_artifacts(self._registry.snapshot, self._rings()))
        looked = store.look(self._models, wanted, deep=self._options.deep)
        yield from store.judge_store(self._models.url, looked, deep=self._options.deep)

    def _check_groups(self) -> Iterable[Finding]:
        if self._topics is None:
            yield workers.WORKERS.unknown("groups", "the topics are not known")
            return
        groups = [group for ring in self._rings() for group in workers.stage_groups(ring, self._cells(ring))]
        readable = [group for group in groups if group.topic in self._topics]
        states = asking.ask_groups(self._settings, readable, self._options.timeout_s)
        for group in readable:
            yield workers.judge_group(group, states[group.group], self._topics[group.topic].partitions)

    def _check_reports(self) -> Iterable[Finding]:
        if not self._topics or TELEMETRY_TOPIC not in self._topics:
            yield workers.WORKERS.unknown("reports", f"there is no topic {TELEMETRY_TOPIC} for them")
            return
        rings = self._rings()
        heard = asking.ask_workers(self._settings, self._options.timeout_s)
        self._heard = tuple(each for each in heard if each.report.worker.ring in rings)
        yield from workers.judge_reports(self._heard, time.time() * 1_000)
        snapshot = None if self._registry is None else self._registry.snapshot
        for ring in rings:
            record = None if snapshot is None else snapshot.ring(ring)
            if record is not None:
                yield from workers.judge_encoders(self._heard, ring, record.encoder)

    def _check_clock(self) -> Iterable[Finding]:
        readings = asking.ask_time(self._client)
        if readings:
            yield clocks.judge_machine(clocks.skew_of(readings))
        else:
            yield clocks.CLOCKS.unknown("this machine", "Kafka does not tell the time: it is older than 3.3")

    def _check_workers_clocks(self) -> Iterable[Finding]:
        yield from clocks.judge_workers(
            [
                clocks.WorkerClock(each.name, each.report.at_ms - each.taken_ms)
                for each in self._heard
                if each.taken_ms is not None
            ]
        )

    def _rings(self) -> tuple[RingName, ...]:
        if self._options.ring is not None:
            return (self._options.ring,)
        if self._registry is None:
            return topics.rings_of(self._topics or ())
        return tuple(record.ring for record in self._registry.snapshot.rings())

    def _cells(self, ring: RingName) -> tuple[CellName, ...]:
        record = None if self._registry is None else self._registry.snapshot.ring(ring)
        return topics.cells_of(ring, self._topics or ()) if record is None else record.cells
