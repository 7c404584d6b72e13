"""Registry records that fit together: an encoder of one view, and heads that read it."""

from manyheads.topics.names import CellName, RingName, TenantName, cell, space, version
from manyheads.topics.registry import ArtifactRef, EncoderRecord, HeadRecord, PlacementRecord, RingRecord
from manyheads.topics.views import View

C0 = cell("c0")
V1 = version("v1")
SPACE = space("minilm")
POOLED = View.parse("pooled:6")


def ring_record(ring: RingName) -> RingRecord:
    """A ring with one cell."""
    return RingRecord(ring=ring, encoder=V1, cells=(C0,))


def encoder_record(ring: RingName, artifact: ArtifactRef) -> EncoderRecord:
    """Its encoder."""
    return EncoderRecord(
        ring=ring, version=V1, space=SPACE, layers=6, width=384, views=(POOLED,), max_tokens=250, artifacts=(artifact,)
    )


def head_record(ring: RingName, of: TenantName, artifact: ArtifactRef) -> HeadRecord:
    """A tenant's first head."""
    return HeadRecord(ring=ring, tenant=of, version=V1, space=SPACE, view=POOLED, artifact=artifact)


def placement_record(ring: RingName, of: TenantName, in_cell: CellName = C0) -> PlacementRecord:
    """Where it is served."""
    return PlacementRecord(ring=ring, tenant=of, cell=in_cell, head=V1)
