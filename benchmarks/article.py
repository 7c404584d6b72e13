"""A pipeline in the article's shape: a random 6 x 768 encoder, and heads of 9M random parameters for many tenants."""

from collections.abc import Sequence
from pathlib import Path

from rich.progress import Progress

from manyheads.cli.provision import Registrar
from manyheads.encoder_worker.build import build_random
from manyheads.head_worker.building import article_head
from manyheads.infra.local import LocalStack
from manyheads.infra.registry import RegistrySnapshot, RegistryWriter
from manyheads.topics.catalogue import Partitions
from manyheads.topics.names import CellName, RingName, TenantName, cell, ring, tenant, version
from manyheads.topics.registry import EncoderRecord, HeadRecord, PlacementRecord
from manyheads.topics.views import View

RING: RingName = ring("en")
CELL: CellName = cell("c0")
_VIEW = View.parse("tokens:6")


def provision_encoder(stack: LocalStack, writer: RegistryWriter, folder: Path) -> EncoderRecord:
    """Build the random encoder, store it and make it the ring's."""
    build = build_random(folder / "encoder")
    return Registrar(stack.store, writer).encoder(build, RING, (CELL,), RegistrySnapshot())


def provision_heads(
    stack: LocalStack, writer: RegistryWriter, encoder: EncoderRecord, count: int, progress: Progress
) -> Sequence[TenantName]:
    """Build a head for each of ``count`` tenants, each of its own random weights, and place it."""
    tenants = [tenant(f"tenant-{i:03d}") for i in range(count)]
    for i, name in enumerate(progress.track(tenants, description="heads of 9M parameters")):
        head = HeadRecord(
            ring=RING,
            tenant=name,
            version=version("random"),
            space=encoder.space,
            view=_VIEW,
            artifact=stack.store.put("head.onnx", article_head(seed=i)),
        )
        writer.put(head, PlacementRecord(ring=RING, tenant=name, cell=CELL, head=head.version))
    return tenants


def create_topics(stack: LocalStack) -> None:
    """The ring's topics, with partitions for one encoder worker and a few head workers."""
    stack.create_topics(RING, (CELL,), Partitions(requests=2, embeddings=4, replies=1))
