"""Putting encoders and heads into the model store and the registry."""

from collections.abc import Sequence
from dataclasses import dataclass

from manyheads.cli.catalogue import placed
from manyheads.cli.teaching import Lesson
from manyheads.encoder_worker.build import EncoderBuild
from manyheads.head_worker.head import HEAD_FILE
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.infra.store import ModelStore
from manyheads.topics.errors import ArtifactError, ErrorCode
from manyheads.topics.names import CellName, RingName
from manyheads.topics.names import cell as cell_name
from manyheads.topics.registry import EncoderRecord, HeadRecord, PlacementRecord, RingRecord

FIRST_CELL = cell_name("c0")


@dataclass(frozen=True, slots=True)
class Registrar:
    """Files go into the store before a record names them, so a worker that follows the registry finds them."""

    store: ModelStore
    writer: RegistryWriter

    def encoder(
        self, build: EncoderBuild, ring: RingName, cells: Sequence[CellName], snapshot: RegistrySnapshot
    ) -> EncoderRecord:
        """Make a built encoder the ring's.

        Args:
            build: the encoder.
            ring: the ring, which may be new.
            cells: the ring's cells; none: those that it has, else the first.
            snapshot: the registry as it is.

        Raises:
            ArtifactError: space_mismatch if active heads of the ring read another embedding space.
            BrokerError: the registry cannot be written.
        """
        record = build.record(ring)
        _check_heads(record, snapshot)
        for name, file in build.files.items():
            self.store.put(name, file)
        present = snapshot.ring(ring)
        kept = tuple(cells) or (present.cells if present is not None else (FIRST_CELL,))
        self.writer.put(record, RingRecord(ring=ring, encoder=record.version, cells=kept))
        return record

    def head(self, lesson: Lesson) -> HeadRecord:
        """Register a trained head; it answers nobody before it is placed. Raises ArtifactError, BrokerError."""
        record = stored_head(lesson, self.store)
        self.writer.put(record)
        return record

    def activate(self, head: HeadRecord, cell: CellName, snapshot: RegistrySnapshot) -> PlacementRecord:
        """Let a registered head answer for its tenant, in ``cell``.

        Args:
            head: the head.
            cell: where the tenant shall live from now on.
            snapshot: the registry as it is now: what else its placement says there is kept.
        """
        placement = placed(snapshot, head, cell)
        self.writer.put(placement)
        return placement


def stored_head(lesson: Lesson, store: ModelStore) -> HeadRecord:
    """The record of a trained head, whose file is in the store from now on. Raises ArtifactError."""
    return HeadRecord(
        ring=lesson.encoder.ring,
        tenant=lesson.tenant,
        version=lesson.version,
        space=lesson.encoder.space,
        view=lesson.view,
        artifact=store.put(HEAD_FILE, lesson.model),
    )


def _check_heads(encoder: EncoderRecord, snapshot: RegistrySnapshot) -> None:
    stranded = [
        placement.tenant
        for placement in snapshot.tenants(encoder.ring)
        if placement.head is not None
        and (head := snapshot.head(encoder.ring, placement.tenant, placement.head)) is not None
        and head.space != encoder.space
    ]
    if stranded:
        raise ArtifactError(
            ErrorCode.SPACE_MISMATCH,
            f"ring {encoder.ring} has {len(stranded)} active heads of another embedding space than {encoder.space}, "
            f"such as that of {stranded[0]}, which could not read this encoder; use another ring",
            ring=encoder.ring,
            space=encoder.space,
            heads=len(stranded),
        )
