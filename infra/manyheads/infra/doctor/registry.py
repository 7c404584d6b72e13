"""The registry: does every record that it names exist, and do they fit together?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto

from manyheads.infra.doctor.findings import Area, Finding, counted, some
from manyheads.infra.registry import RegistrySnapshot
from manyheads.topics.names import RingName, TenantName
from manyheads.topics.registry import ArtifactRef, EncoderRecord, PlacementRecord, RingRecord

REGISTRY = Area("registry")


class _Trouble(IntEnum):
    """What keeps a tenant from being answered; in the order in which it is reported."""

    CELL = auto()
    RECORD = auto()
    SPACE = auto()
    VIEW = auto()
    INACTIVE = auto()


_SEEN = {
    _Trouble.CELL: "placed in a cell that the ring does not have",
    _Trouble.RECORD: "whose active head has no record",
    _Trouble.SPACE: "whose head reads another space than the encoder's",
    _Trouble.VIEW: "whose head reads a view that the encoder does not offer",
    _Trouble.INACTIVE: "without an active head",
}
_ADVICE = {
    _Trouble.CELL: "nobody serves it: manyheads train TENANT EXAMPLES --ring {ring} --cell CELL, one of its cells",
    _Trouble.RECORD: "activate another, manyheads activate TENANT VERSION --ring {ring}, or train one",
    _Trouble.SPACE: "train it anew: manyheads train TENANT EXAMPLES --ring {ring}",
    _Trouble.VIEW: "train it anew: manyheads train TENANT EXAMPLES --ring {ring}",
    _Trouble.INACTIVE: "they are answered no_active_head: manyheads activate TENANT VERSION --ring {ring}",
}


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry as it was read."""

    snapshot: RegistrySnapshot
    skipped: int
    """records that were none of ours"""


@dataclass(frozen=True, slots=True)
class WantedArtifact:
    """A file that a worker needs now."""

    ref: ArtifactRef
    owner: str
    """whose it is, such as ``head 20261121-3f9ac2 of acme-bank``"""
    advice: str
    """how to store it again"""


def judge_registry(registry: Registry, rings: Sequence[RingName]) -> Iterator[Finding]:
    """What the records of the rings say; a ring that is not registered is named."""
    snapshot = registry.snapshot
    if registry.skipped:
        yield REGISTRY.warn(
            "nlu.registry",
            f"{counted(registry.skipped, 'record')} that no worker can read",
            "a newer version wrote them, or another program: MANYHEADS_LOG_LEVEL=WARNING shows where they are",
        )
    if not rings:
        yield REGISTRY.warn("rings", "none is registered", "build the first: manyheads encoder build --ring en")
    for name in rings:
        record = snapshot.ring(name)
        if record is None:
            yield REGISTRY.fail(f"ring {name}", "not registered", f"build it: manyheads encoder build --ring {name}")
        else:
            yield from _judge_ring(snapshot, record)


def judge_unregistered(snapshot: RegistrySnapshot, with_topics: Sequence[RingName]) -> Iterator[Finding]:
    """Rings that have topics and no record."""
    for name in with_topics:
        if snapshot.ring(name) is None:
            yield REGISTRY.warn(
                f"ring {name}",
                "it has topics, but is not registered: its requests are answered unknown_ring",
                f"build its encoder: manyheads encoder build --ring {name}",
            )


def _judge_ring(snapshot: RegistrySnapshot, ring: RingRecord) -> Iterator[Finding]:
    subject = f"ring {ring.ring}"
    encoder = snapshot.encoder(ring.ring, ring.encoder)
    placements = snapshot.tenants(ring.ring)
    if encoder is None:
        yield REGISTRY.fail(
            subject,
            f"its encoder {ring.encoder} has no record: no encoder worker can start",
            f"build it again: manyheads encoder build --ring {ring.ring}",
        )
    troubles: dict[_Trouble, list[TenantName]] = {}
    for placement in placements:
        if (trouble := _trouble(snapshot, ring, encoder, placement)) is not None:
            troubles.setdefault(trouble, []).append(placement.tenant)
    for trouble, tenants in sorted(troubles.items()):
        make = REGISTRY.warn if trouble is _Trouble.INACTIVE else REGISTRY.fail
        seen = f"{counted(len(tenants), 'tenant')} {_SEEN[trouble]}: {some(tenants)}"
        yield make(subject, seen, _ADVICE[trouble].format(ring=ring.ring))
    if encoder is not None and not troubles:
        cells = f"{counted(len(ring.cells), 'cell')} ({some(ring.cells)})"
        seen = f"encoder {encoder.version} of space {encoder.space}, {cells}, {counted(len(placements), 'tenant')}"
        yield REGISTRY.ok(subject, seen)


def _trouble(
    snapshot: RegistrySnapshot, ring: RingRecord, encoder: EncoderRecord | None, placement: PlacementRecord
) -> _Trouble | None:
    if placement.cell not in ring.cells:
        return _Trouble.CELL
    if placement.head is None:
        return _Trouble.INACTIVE
    head = snapshot.head(ring.ring, placement.tenant, placement.head)
    if head is None:
        return _Trouble.RECORD
    if encoder is None:
        return None
    if head.space != encoder.space:
        return _Trouble.SPACE
    return None if head.view in encoder.views else _Trouble.VIEW


def wanted_artifacts(snapshot: RegistrySnapshot, rings: Sequence[RingName]) -> Iterator[WantedArtifact]:
    """The files of the rings' live encoders and active heads, as far as they have records."""
    for name in rings:
        ring = snapshot.ring(name)
        encoder = None if ring is None else snapshot.encoder(name, ring.encoder)
        if encoder is not None:
            build = f"manyheads encoder build --ring {name}"
            for ref in encoder.artifacts:
                yield WantedArtifact(ref, f"encoder {encoder.version} of ring {name}", build)
        for placement in snapshot.tenants(name):
            head = None if placement.head is None else snapshot.head(name, placement.tenant, placement.head)
            if head is not None:
                train = f"manyheads train {head.tenant} EXAMPLES --ring {name}"
                yield WantedArtifact(head.artifact, f"head {head.version} of {head.tenant} in ring {name}", train)
