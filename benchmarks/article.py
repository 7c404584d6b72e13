"""A pipeline in the article's shape: a random 6 x 768 encoder, and heads of 9M random parameters for many tenants."""

from collections.abc import Sequence
from pathlib import Path

from rich.progress import track

from manyheads.cli.provision import Registrar
from manyheads.encoder_worker.build import build_random
from manyheads.head_worker.building import ARTICLE_VIEW, article_head
from manyheads.infra.local import LocalStack
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.topics.names import CellName, RingName, TenantName, cell, ring, tenant, version
from manyheads.topics.registry import EncoderRecord, HeadRecord, PlacementRecord

RING: RingName = ring("en")
CELL: CellName = cell("c0")


def provision_encoder(stack: LocalStack, writer: RegistryWriter, folder: Path) -> EncoderRecord:
    """Build the random encoder, store it and make it the ring's."""
    build = build_random(folder / "encoder")
    return Registrar(stack.store, writer).encoder(build, RING, (CELL,), RegistrySnapshot())


def provision_heads(
    stack: LocalStack, writer: RegistryWriter, encoder: EncoderRecord, count: int
) -> Sequence[TenantName]:
    """Build a head for each of ``count`` tenants, each of its own random weights, and place it."""
    tenants = [tenant(f"tenant-{i:03d}") for i in range(count)]
    for i, name in enumerate(track(tenants, description="heads of 9M parameters", transient=True)):
        head = HeadRecord(
            ring=RING,
            tenant=name,
            version=version("random"),
            space=encoder.space,
            view=ARTICLE_VIEW,
            artifact=stack.store.put("head.onnx", article_head(i, encoder.space)),
        )
        writer.put(head, PlacementRecord(ring=RING, tenant=name, cell=CELL, head=head.version))
    return tenants
