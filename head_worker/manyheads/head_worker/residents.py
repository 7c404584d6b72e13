"""The heads in memory: by tenant and version, each with a reason to stay."""

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from manyheads.head_worker.head import Head
from manyheads.infra.store import ModelStore
from manyheads.infra.telemetry import event
from manyheads.topics.errors import ArtifactError, ErrorCode
from manyheads.topics.names import SpaceName, TenantName
from manyheads.topics.registry import HeadRecord
from manyheads.topics.views import View

_log = logging.getLogger(__name__)

_RETRY_SHARE = 10.0
"""times what a failed try took, until the next one at least"""


@dataclass(slots=True, eq=False)
class Resident:
    """A loaded head. ``leaves_at`` is None while it is wanted, else when it may be unloaded."""

    record: HeadRecord
    head: Head
    leaves_at: float | None


@dataclass(frozen=True, slots=True)
class _Failure:
    """A head that could not be loaded. ``retry_at`` is None for a file that only a new record can mend."""

    error: ArtifactError
    retry_at: float | None


class ResidentHeads:
    """Loads heads from the store and keeps them for as long as they are wanted, and a grace period beyond.

    In that period a head still answers embeddings that were made for it before another took its place.

    Args:
        store: where their files are.
        grace_s: seconds that a head stays when it is no longer wanted, counted from its last answer.
        retry_s: seconds until a file that was missing is looked for again, at least.
        clock: seconds that never go back.
    """

    def __init__(self, store: ModelStore, grace_s: float, retry_s: float, clock: Callable[[], float]) -> None:
        self._store = store
        self._grace_s = grace_s
        self._retry_s = retry_s
        self._clock = clock
        self._by_tenant: dict[TenantName, list[Resident]] = {}
        self._failures: dict[HeadRecord, _Failure] = {}

    def __len__(self) -> int:
        return sum(1 for _ in self._all())

    @property
    def size_bytes(self) -> int:
        """Bytes of the files of all heads in memory."""
        return sum(resident.head.size_bytes for resident in self._all())

    def settled(self, record: HeadRecord) -> bool:
        """Whether the head is loaded, or known to have failed and not due for another try."""
        return self._loaded(record) is not None or self._failure(record) is not None

    def tried(self, record: HeadRecord) -> bool:
        """Whether the head is loaded, or has failed since the registry or the assignment changed."""
        return record in self._failures or self._loaded(record) is not None

    def has_other(self, record: HeadRecord) -> bool:
        """Whether another head of the record's tenant is loaded."""
        return any(each.record != record for each in self._by_tenant.get(record.tenant, ()))

    def find(self, active: HeadRecord, space: SpaceName, view: View) -> Resident | None:
        """The tenant's loaded head for such embeddings: the active one if it reads them, else the latest that does."""
        found: Resident | None = None
        for resident in self._by_tenant.get(active.tenant, ()):
            if resident.head.reads(space, view):
                found = resident
                if resident.record == active:
                    break
        if found is None:
            return None
        if found.leaves_at is not None:
            found.leaves_at = self._clock() + self._grace_s
        return found

    def load(self, record: HeadRecord, *, wanted: bool) -> Resident:
        """The head of a record, from memory or from the store. One that is not ``wanted`` stays for the grace period.

        Raises:
            ArtifactError: artifact_missing, artifact_corrupt, or space_mismatch for a file that reads something else
                than its record says; from memory until the registry changes or, for a missing file, ``retry_s``.
        """
        loaded = self._loaded(record)
        if loaded is not None:
            return loaded
        failure = self._failure(record)
        if failure is not None:
            raise failure.error
        began = self._clock()
        try:
            head = Head.load(self._store.fetch(record.artifact))
            _check_reads(head, record)
        except ArtifactError as error:
            now = self._clock()
            # A store that fails slowly must not take all of a worker's time.
            retry_at = now + max(self._retry_s, _RETRY_SHARE * (now - began))
            missing = error.code is ErrorCode.ARTIFACT_MISSING
            self._failures[record] = _Failure(error, retry_at if missing else None)
            event(
                _log,
                "head_load_failed",
                level=logging.ERROR,
                tenant=record.tenant,
                head=record.version,
                error=error,
            )
            raise
        self._failures.pop(record, None)
        resident = Resident(record, head, None if wanted else self._clock() + self._grace_s)
        self._by_tenant.setdefault(record.tenant, []).append(resident)
        event(_log, "head_loaded", tenant=record.tenant, head=record.version, bytes=head.size_bytes)
        return resident

    def want(self, wanted: Collection[HeadRecord], served: Callable[[TenantName], bool]) -> None:
        """Keep these heads. Others leave: at once if their tenant is no longer ``served`` here, else after the grace.

        Failures are forgotten, so that what was mended is loaded.
        """
        keep = set(wanted)
        self._failures.clear()
        for resident in self._all():
            if resident.record in keep:
                resident.leaves_at = None
            elif not served(resident.record.tenant):
                resident.leaves_at = self._clock()
            elif resident.leaves_at is None:
                resident.leaves_at = self._clock() + self._grace_s
        self.unload_due(keep)

    def unload_due(self, wanted: Collection[HeadRecord]) -> None:
        """Unload what may leave by now. A head stays until the ``wanted`` one of its tenant is loaded."""
        if all(resident.leaves_at is None for resident in self._all()):
            return
        now = self._clock()
        loading = {record.tenant for record in wanted if self._loaded(record) is None}
        for tenant, residents in list(self._by_tenant.items()):
            stay = [each for each in residents if each.leaves_at is None or each.leaves_at > now or tenant in loading]
            for gone in residents:
                if gone not in stay:
                    event(_log, "head_unloaded", tenant=tenant, head=gone.record.version)
            if stay:
                self._by_tenant[tenant] = stay
            else:
                del self._by_tenant[tenant]

    def _all(self) -> Iterator[Resident]:
        for residents in self._by_tenant.values():
            yield from residents

    def _loaded(self, record: HeadRecord) -> Resident | None:
        return next((each for each in self._by_tenant.get(record.tenant, ()) if each.record == record), None)

    def _failure(self, record: HeadRecord) -> _Failure | None:
        failure = self._failures.get(record)
        if failure is not None and failure.retry_at is not None and self._clock() >= failure.retry_at:
            return None
        return failure


def _check_reads(head: Head, record: HeadRecord) -> None:
    if not head.reads(record.space, record.view):
        raise ArtifactError(
            ErrorCode.SPACE_MISMATCH,
            f"head {record.version} of tenant {record.tenant} is registered for {record.view} of {record.space}, but "
            f"its file reads {head.card.view} of {head.card.space}; register it as what it is",
            head=record.version,
            space=record.space,
            view=str(record.view),
            head_space=head.card.space,
            head_view=str(head.card.view),
        )
