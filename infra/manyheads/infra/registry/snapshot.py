"""The registry at one moment: an immutable fold of its records."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeVar

from manyheads.topics.errors import ErrorCode, RoutingError
from manyheads.topics.names import CellName, RingName, TenantName, VersionName
from manyheads.topics.registry import (
    ArtifactRef,
    EncoderRecord,
    HeadRecord,
    PlacementRecord,
    RegistryRecord,
    RingRecord,
    encoder_key,
    head_key,
    placement_key,
    ring_key,
)

_R = TypeVar("_R", RingRecord, EncoderRecord, HeadRecord, PlacementRecord)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a tenant's work goes, and the head that answers it."""

    placement: PlacementRecord
    head: HeadRecord


class RegistrySnapshot:
    """Every record of the registry at one moment. Immutable; safe from any thread.

    Attributes:
        generation: rises with every change, so a reader that remembers one knows whether to look again.
    """

    def __init__(self, records: Iterable[RegistryRecord] = (), generation: int = 0) -> None:
        self._records: Mapping[bytes, RegistryRecord] = {record.key: record for record in records}
        self.generation = generation

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"RegistrySnapshot(generation={self.generation}, records={len(self)})"

    # --- what is there ---

    def ring(self, ring: RingName) -> RingRecord | None:
        return self._find(RingRecord, ring_key(ring))

    def encoder(self, ring: RingName, version: VersionName) -> EncoderRecord | None:
        return self._find(EncoderRecord, encoder_key(ring, version))

    def head(self, ring: RingName, tenant: TenantName, version: VersionName) -> HeadRecord | None:
        return self._find(HeadRecord, head_key(ring, tenant, version))

    def placement(self, ring: RingName, tenant: TenantName) -> PlacementRecord | None:
        return self._find(PlacementRecord, placement_key(ring, tenant))

    def placements(self, ring: RingName, cell: CellName) -> tuple[PlacementRecord, ...]:
        """The tenants of a cell, by name."""
        return self._placements_by_cell.get((ring, cell), ())

    def rings(self) -> tuple[RingRecord, ...]:
        """All rings, by name."""
        found = [record for record in self._records.values() if isinstance(record, RingRecord)]
        return tuple(sorted(found, key=lambda record: record.ring))

    def tenants(self, ring: RingName) -> tuple[PlacementRecord, ...]:
        """The placements of all tenants of a ring, whatever their cell, by name."""
        return self._of_ring(PlacementRecord, ring, lambda record: record.tenant)

    def heads(self, ring: RingName) -> tuple[HeadRecord, ...]:
        """All registered heads of a ring, by tenant and version."""
        return self._of_ring(HeadRecord, ring, lambda record: f"{record.tenant}/{record.version}")

    def file_users(self) -> dict[str, frozenset[bytes]]:
        """By the digest of each file that a record names, the keys of all records that do."""
        users: dict[str, set[bytes]] = {}
        for key, record in self._records.items():
            match record:
                case HeadRecord(artifact=artifact):
                    files: tuple[ArtifactRef, ...] = (artifact,)
                case EncoderRecord(artifacts=artifacts):
                    files = artifacts
                case _:
                    continue
            for file in files:
                users.setdefault(file.sha256, set()).add(key)
        return {digest: frozenset(keys) for digest, keys in users.items()}

    def route(self, ring: RingName, tenant: TenantName) -> Route:
        """Where the tenant's work goes.

        Raises:
            RoutingError: unknown_ring, unknown_tenant or no_active_head; the message says what to register.
        """
        placement = self.placement(ring, tenant)
        if placement is None:
            raise self._nobody(ring, tenant)
        if placement.head is None:
            raise RoutingError(
                ErrorCode.NO_ACTIVE_HEAD,
                f"tenant {tenant} has no active head in ring {ring}; activate one of its heads in its placement",
                ring=ring,
                tenant=tenant,
            )
        head = self.head(ring, tenant, placement.head)
        if head is None:
            raise RoutingError(
                ErrorCode.NO_ACTIVE_HEAD,
                f"head {placement.head} of tenant {tenant} in ring {ring} is active but not registered; "
                "register it, or activate another",
                ring=ring,
                tenant=tenant,
                head=placement.head,
            )
        return Route(placement, head)

    # --- the next snapshot ---

    def with_record(self, record: RegistryRecord) -> Self:
        """A snapshot that holds ``record`` in place of what had its key."""
        return self.with_changes({record.key: record})

    def without(self, key: bytes) -> Self:
        """A snapshot that holds nothing under ``key``."""
        return self.with_changes({key: None})

    def with_changes(self, changes: Mapping[bytes, RegistryRecord | None]) -> Self:
        """A snapshot with all changes at once, None deleting a key; this one if they change nothing.

        Costs one copy of the snapshot, however many changes there are.
        """
        effective = {key: record for key, record in changes.items() if self._records.get(key) != record}
        if not effective:
            return self
        records = dict(self._records)
        for key, record in effective.items():
            if record is None:
                del records[key]
            else:
                records[key] = record
        changed = type(self)(generation=self.generation + 1)
        changed._records = records
        return changed

    # --- inside ---

    def _find(self, kind: type[_R], key: bytes) -> _R | None:
        record = self._records.get(key)
        return record if isinstance(record, kind) else None

    def _of_ring(self, kind: type[_R], ring: RingName, order: Callable[[_R], str]) -> tuple[_R, ...]:
        found = [record for record in self._records.values() if isinstance(record, kind) and record.ring == ring]
        return tuple(sorted(found, key=order))

    @cached_property
    def _placements_by_cell(self) -> dict[tuple[RingName, CellName], tuple[PlacementRecord, ...]]:
        cells: dict[tuple[RingName, CellName], list[PlacementRecord]] = {}
        for record in self._records.values():
            if isinstance(record, PlacementRecord):
                cells.setdefault((record.ring, record.cell), []).append(record)
        return {cell: tuple(sorted(found, key=lambda record: record.tenant)) for cell, found in cells.items()}

    def _nobody(self, ring: RingName, tenant: TenantName) -> RoutingError:
        if self.ring(ring) is None:
            return RoutingError(
                ErrorCode.UNKNOWN_RING,
                f"there is no ring {ring}; known are {self._shown_rings()}",
                ring=ring,
            )
        return RoutingError(
            ErrorCode.UNKNOWN_TENANT,
            f"tenant {tenant} has no placement in ring {ring}; check its name, or train and place a head for it",
            ring=ring,
            tenant=tenant,
        )

    def _shown_rings(self) -> str:
        names = [record.ring for record in self.rings()]
        if not names:
            return "none: has an encoder been registered?"
        return ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")
