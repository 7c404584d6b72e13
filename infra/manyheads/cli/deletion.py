"""What ``tenants delete`` takes away, in an order in which a delete that failed half-way can be done again."""

from collections.abc import Sequence
from dataclasses import dataclass

from manyheads.cli.catalogue import READ_S, find_ring, read_registry
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store import ModelStore
from manyheads.topics.errors import ArtifactError, ErrorCode, RoutingError
from manyheads.topics.names import CellName, RingName, TenantName
from manyheads.topics.registry import ArtifactRef, EncoderRecord, HeadRecord, PlacementRecord


@dataclass(frozen=True, slots=True)
class Deletion:
    """What is to be deleted of a tenant."""

    ring: RingName
    tenant: TenantName
    placement: PlacementRecord | None
    heads: tuple[HeadRecord, ...]
    artifacts: tuple[ArtifactRef, ...]
    """files that nobody else's record names"""
    cells: tuple[CellName, ...]
    """where it may have lived"""
    encoder: EncoderRecord | None
    """the ring's, by whose files the ring's store is known"""

    @classmethod
    def of(cls, snapshot: RegistrySnapshot, ring: RingName, tenant: TenantName) -> "Deletion":
        """What the registry has of the tenant. Raises RoutingError: unknown_ring, or unknown_tenant: it has nothing."""
        record = find_ring(snapshot, ring)
        placement = snapshot.placement(ring, tenant)
        heads = tuple(head for head in snapshot.heads(ring) if head.tenant == tenant)
        if placement is None and not heads:
            raise unknown(ring, tenant)
        return cls(
            ring=ring,
            tenant=tenant,
            placement=placement,
            heads=heads,
            artifacts=unshared(snapshot, heads),
            cells=cells_of(snapshot, ring, placement),
            encoder=snapshot.encoder(ring, record.encoder),
        )

    def check(self, store: ModelStore) -> None:
        """Check that the store has the files, before anything is deleted: once it is, no record names them any more.

        Raises:
            ArtifactError: artifact_missing; the message says to name the right store.
        """
        for ref in self.artifacts:
            try:
                _find(store, ref)
            except ArtifactError as error:
                if self._may_be_gone_already(store):
                    return
                message = f"nothing was deleted, because {error.message}"
                raise ArtifactError(error.code, message, **error.details) from error

    def carry_out(self, settings: KafkaSettings, store: ModelStore) -> "Deleted":
        """Delete the placement, then the files, then the heads. Raises ArtifactError, BrokerError: do it again then.

        The placement goes first, so that nothing is sent to heads that are gone; the heads go last, because only they
        tell which files are left.
        """
        with RegistryWriter(settings, READ_S) as writer:
            if self.placement is not None:
                writer.delete(self.placement.key)
            # As the registry is now: somebody may have registered the same file meanwhile.
            files = unshared(read_registry(settings), self.heads)
            removed = sum([self._remove(ref, store) for ref in files])
            writer.delete(*(head.key for head in self.heads))
        return Deleted(removed, len(files) - removed)

    def _remove(self, ref: ArtifactRef, store: ModelStore) -> bool:
        try:
            return store.remove(ref)
        except ArtifactError as error:
            message = (
                f"{error.message}, and run the command again; tenant {self.tenant} is answered unknown_tenant already, "
                "its heads are still registered"
            )
            raise ArtifactError(error.code, message, **error.details) from error

    def _may_be_gone_already(self, store: ModelStore) -> bool:
        """Whether a file that is not there went in a delete that was interrupted, rather than being in another store.

        Such a delete has taken the placement. So has nobody ever placed a head that was only registered: what tells
        the two apart is that the ring's own store has its encoder.
        """
        if self.placement is not None or self.encoder is None:
            return False
        try:
            for ref in self.encoder.artifacts:
                _find(store, ref)
        except ArtifactError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of the files."""

    removed: int
    absent: int
    """were not there any more"""


def unshared(snapshot: RegistrySnapshot, heads: Sequence[HeadRecord]) -> tuple[ArtifactRef, ...]:
    """The files of the heads that no other record of the registry names, each once."""
    files = {head.artifact.sha256: head.artifact for head in heads}
    keys = {head.key for head in heads}
    users = snapshot.file_users()
    return tuple(ref for digest, ref in sorted(files.items()) if users.get(digest, frozenset()) <= keys)


def cells_of(snapshot: RegistrySnapshot, ring: RingName, placement: PlacementRecord | None) -> tuple[CellName, ...]:
    """Every cell where a tenant may have left something: it may have moved, and nobody notes where it was before."""
    present = () if placement is None else (placement.cell,)
    return tuple(dict.fromkeys((*find_ring(snapshot, ring).cells, *present)))


def unknown(ring: RingName, tenant: TenantName) -> RoutingError:
    """The ring has nothing of the tenant."""
    return RoutingError(
        ErrorCode.UNKNOWN_TENANT,
        f"tenant {tenant} is not in ring {ring}; see manyheads tenants list --ring {ring}",
        ring=ring,
        tenant=tenant,
    )


def _find(store: ModelStore, ref: ArtifactRef) -> None:
    """Raises ArtifactError(artifact_missing)."""
    try:
        store.inspect(ref)
    except ArtifactError as error:
        # A damaged file is there, and may go.
        if error.code is not ErrorCode.ARTIFACT_CORRUPT:
            raise
