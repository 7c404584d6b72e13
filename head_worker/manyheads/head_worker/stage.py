"""The head stage: embeddings in, replies out, each from the head that its tenant has active."""

import logging
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from manyheads.head_worker.assignment import Assignment
from manyheads.head_worker.head import HeadOutput
from manyheads.head_worker.residents import Resident, ResidentHeads
from manyheads.infra.registry.reader import RegistryReader
from manyheads.infra.registry.snapshot import RegistrySnapshot
from manyheads.infra.stage.observer import StageObserver
from manyheads.infra.stage.work import Answer, Job, Outcome
from manyheads.infra.store import ModelStore
from manyheads.infra.telemetry import event
from manyheads.topics.errors import ArtifactError, ErrorCode, InternalError, ManyheadsError, WireError
from manyheads.topics.messages import Embedding, Prediction, Reply, StageTiming, Timings, Versions
from manyheads.topics.metrics import HEAD_LOAD_SECONDS, HEAD_LOADS, HEAD_SWAPS, HEADS_BYTES, HEADS_LOADED
from manyheads.topics.names import CellName, RingName, TenantName
from manyheads.topics.registry import HeadRecord
from manyheads.topics.telemetry import OK, HeadsReport

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HeadStageOptions:
    """How a head stage keeps its heads. Times are seconds."""

    grace_s: float = 30.0
    """how long a head stays that another took the place of: it answers the embeddings that were made for it"""
    retry_s: float = 15.0
    """how long until a head's file that was missing is looked for again"""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The heads that should be in memory, and what this was decided by."""

    generation: int
    changes: int
    heads: tuple[HeadRecord, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A job that a head is found for."""

    index: int
    job: Job
    embedding: Embedding


class HeadStage:
    """The compute of a cell's head worker; a :class:`manyheads.infra.stage.work.Stage`.

    Heads are loaded between polls, by :meth:`prepare`. A new active head is loaded whole while the one before answers,
    and takes over with the next request. Which head answers an embedding is decided by what it can read: the active
    one if it reads the embedding's space and view, else another of the tenant's that does and is still in memory (the
    encoder may be a moment behind or ahead of this worker's registry), else ``space_mismatch``, which the sender may
    try again.
    """

    def __init__(
        self,
        ring: RingName,
        cell: CellName,
        registry: RegistryReader,
        store: ModelStore,
        options: HeadStageOptions = HeadStageOptions(),
        *,
        observer: StageObserver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A stage that learns from ``registry`` whose heads it needs; ``clock`` counts seconds."""
        self._ring = ring
        self._cell = cell
        self._registry = registry
        self._observer = observer or StageObserver()
        self._clock = clock
        self._assignment = Assignment()
        self._residents = ResidentHeads(store, options.grace_s, options.retry_s, clock)
        self._labels = {"ring": ring, "cell": cell}
        self._plan = _Plan(-1, 0, ())

    @property
    def name(self) -> str:
        """See :class:`manyheads.infra.stage.work.Stage`."""
        return "head"

    def assigned(self, topic: str, partitions: Sequence[int], partition_count: int) -> None:
        """See :class:`manyheads.infra.stage.work.Stage`."""
        self._assignment.add(topic, partitions, partition_count)

    def revoked(self, topic: str, partitions: Sequence[int]) -> None:
        """Unloads the heads of tenants that have no partition here any more."""
        self._assignment.remove(topic, partitions)
        self._replan(self._registry.snapshot)
        self._count()

    def prepare(self, budget_s: float) -> bool:
        """Loads what the assignment and the registry ask for. A head that cannot be loaded does not hold up others."""
        until = self._clock() + budget_s
        snapshot = self._registry.snapshot
        if (snapshot.generation, self._assignment.changes) != (self._plan.generation, self._plan.changes):
            self._replan(snapshot)
        pending = deque(record for record in self._plan.heads if not self._residents.tried(record))
        if not pending:
            self._retry_one()
        while pending:
            self._try_load(pending.popleft())
            if self._clock() >= until:
                break
        self._residents.unload_due(self._plan.heads)
        self._count()
        return not pending

    def process(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """See :class:`manyheads.infra.stage.work.Stage`.

        A job's error is WireError for its bytes, its rows or a key that is not its tenant's, RoutingError for a tenant
        without an active head, ArtifactError for a head that cannot be loaded or cannot read this embedding, or
        InternalError.
        """
        started = self._clock()
        snapshot = self._registry.snapshot
        of_tenant: dict[TenantName, list[int]] = {}
        for index, job in enumerate(jobs):
            of_tenant.setdefault(job.envelope.tenant, []).append(index)
        for indices in of_tenant.values():
            asked: dict[Resident, list[_Asked]] = {}
            for index in indices:
                try:
                    resident, embedding = self._head_for(jobs[index], snapshot)
                except ManyheadsError as error:
                    yield index, error
                else:
                    asked.setdefault(resident, []).append(_Asked(index, jobs[index], embedding))
            for resident, together in asked.items():
                yield from self._replies_or_internal(resident, together, started)

    def _head_for(self, job: Job, snapshot: RegistrySnapshot) -> tuple[Resident, Embedding]:
        tenant = job.envelope.tenant
        _check_key(job.record.key, tenant)
        embedding = Embedding.from_bytes(job.record.value)
        return self._resident(snapshot.route(self._ring, tenant).head, embedding, snapshot), embedding

    def _replies_or_internal(
        self, resident: Resident, asked: Sequence[_Asked], started: float
    ) -> Iterator[tuple[int, Outcome]]:
        """What one head answers, and ``internal`` where it fails as no head should: no other head's requests do."""
        left = {each.index for each in asked}
        try:
            for index, outcome in self._replies(resident, asked, started):
                left.remove(index)
                yield index, outcome
        except Exception as error:
            _log_failure(resident.record, error, len(left))
            failed = InternalError(
                ErrorCode.INTERNAL,
                f"head {resident.record.version} failed with {type(error).__name__}; the head worker's log says where; "
                "activate another version until that is repaired",
                head=resident.record.version,
                cause=type(error).__name__,
            )
            for index in sorted(left):
                yield index, failed

    def _replies(self, resident: Resident, asked: Sequence[_Asked], started: float) -> Iterator[tuple[int, Outcome]]:
        """What one head answers. Those that it can read together share a run."""
        for place, output in resident.head.predict([each.embedding for each in asked]):
            each = asked[place]
            if isinstance(output, ManyheadsError):
                yield each.index, output
                continue
            own = StageTiming(queue_ms=each.job.queue_ms, compute_ms=max(0.0, self._clock() - started) * 1000)
            try:
                yield each.index, Answer(_reply(resident.record, each.embedding, output, own).to_bytes())
            except ManyheadsError as error:
                yield each.index, error

    def _resident(self, active: HeadRecord, embedding: Embedding, snapshot: RegistrySnapshot) -> Resident:
        """The head that answers. Loads one only for a tenant that was not expected here, or just before a swap."""
        space, view = embedding.space, embedding.view
        found = self._residents.find(active, space, view)
        if found is not None:
            return found
        if (active.space, active.view) == (space, view):
            return self._load(active, "request", wanted=active in self._plan.heads)
        # The encoder already follows a placement that this worker has not seen; its head was registered before that.
        others = [
            record
            for record in snapshot.heads(self._ring)
            if record.tenant == active.tenant and (record.space, record.view) == (space, view)
        ]
        if len(others) == 1:
            return self._load(others[0], "request", wanted=False)
        raise ArtifactError(
            ErrorCode.SPACE_MISMATCH,
            f"the embedding is {view} of space {space}, and the active head {active.version} reads {active.view} of "
            f"{active.space}; send the request again, and if this stays, activate a head that reads what the ring's "
            "encoder makes",
            space=space,
            view=str(view),
            head=active.version,
            head_space=active.space,
            head_view=str(active.view),
        )

    def _replan(self, snapshot: RegistrySnapshot) -> None:
        heads = tuple(self._assignment.active_heads(snapshot, self._ring, self._cell))
        self._plan = _Plan(snapshot.generation, self._assignment.changes, heads)

        def served(tenant: TenantName) -> bool:
            placement = snapshot.placement(self._ring, tenant)
            return self._assignment.serves(tenant, placement.spread if placement else 1)

        self._residents.want(heads, served)

    def _retry_one(self) -> None:
        """Look again for one head that was missing, if it is time: the others wait, as do the records that came."""
        for record in self._plan.heads:
            if not self._residents.settled(record):
                self._try_load(record)
                return

    def _try_load(self, record: HeadRecord) -> None:
        # The error is kept and logged there; the tenant's requests are answered with it.
        with suppress(ArtifactError):
            self._load(record, "prepare", wanted=True)

    def _load(self, record: HeadRecord, trigger: str, *, wanted: bool) -> Resident:
        if self._residents.settled(record):
            return self._residents.load(record, wanted=wanted)
        metrics, started = self._observer.metrics, self._clock()
        swaps = self._residents.has_other(record)
        outcome = OK
        try:
            resident = self._residents.load(record, wanted=wanted)
        except ArtifactError as error:
            outcome = error.code
            raise
        finally:
            metrics.observe(HEAD_LOAD_SECONDS, self._labels, self._clock() - started)
            metrics.inc(HEAD_LOADS, {**self._labels, "trigger": trigger, "outcome": outcome})
        if swaps:
            metrics.inc(HEAD_SWAPS, self._labels)
        return resident

    def _count(self) -> None:
        loaded, size = len(self._residents), self._residents.size_bytes
        self._observer.heads = HeadsReport(loaded=loaded, bytes=size)
        metrics = self._observer.metrics
        metrics.set(HEADS_LOADED, self._labels, loaded)
        metrics.set(HEADS_BYTES, self._labels, size)


def _log_failure(head: HeadRecord, error: Exception, jobs: int) -> None:
    # No message of the error: it may quote what the tenant's text holds.
    where = traceback.extract_tb(error.__traceback__)[-1]
    event(
        _log,
        "head_failed",
        level=logging.ERROR,
        tenant=head.tenant,
        head=head.version,
        jobs=jobs,
        cause=type(error).__name__,
        at=f"{Path(where.filename).name}:{where.lineno} in {where.name}",
    )


def _reply(head: HeadRecord, embedding: Embedding, output: HeadOutput, timing: StageTiming) -> Reply:
    return Reply(
        prediction=Prediction(
            intents=output.intents,
            entities=output.entities,
            versions=Versions(head=head.version, encoder=embedding.encoder, space=embedding.space),
            timings=Timings(encoder=embedding.timing, head=timing),
            truncation=embedding.truncation,
        )
    )


def _check_key(key: bytes | None, tenant: TenantName) -> None:
    """Whoever could write another tenant's name into a header would be answered by that tenant's head."""
    owner = (key or b"").partition(b"#")[0]
    if owner != tenant.encode():
        raise WireError(
            ErrorCode.TENANT_MISMATCH,
            f"the record's key is not one of tenant {tenant}; a producer must key embeddings by their tenant",
            tenant=tenant,
        )
