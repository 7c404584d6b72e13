"""A pipeline in the article's shape: a random 6 x 768 encoder, and heads of 9M random parameters for many tenants."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from manyheads.cli.provision import Registrar
from manyheads.encoder_worker.build import build_random
from manyheads.head_worker.building import ARTICLE_VIEW, article_head
from manyheads.infra.local import LocalStack, encoder_worker, head_worker
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.topics.names import CellName, RingName, TenantName, cell, ring, tenant, version
from manyheads.topics.registry import EncoderRecord, HeadRecord, PlacementRecord

RING: RingName = ring("en")
CELL: CellName = cell("c0")


@dataclass(frozen=True)
class Article:
    """A pipeline that runs."""

    stack: LocalStack
    encoder: EncoderRecord
    tenants: Sequence[TenantName]
    folder: Path
    """for what the benchmark writes; it goes with the pipeline"""


@contextmanager
def running_article(console: Console, tenants: int, head_workers: int = 1) -> Iterator[Article]:
    """An encoder worker, and head workers that serve so many tenants, on an embedded broker."""
    with tempfile.TemporaryDirectory() as temporary, LocalStack() as stack:
        stack.create_topics(RING, (CELL,))
        with RegistryWriter(stack.settings) as writer:
            encoder = _provision_encoder(stack, writer, Path(temporary))
            names = _provision_heads(stack, writer, encoder, tenants)
        with console.status("starting the workers"):
            heads = [head_worker(RING, CELL) for _ in range(head_workers)]
            stack.workers.start(encoder_worker(RING), *heads, timeout_s=180)
        yield Article(stack, encoder, names, Path(temporary))


def _provision_encoder(stack: LocalStack, writer: RegistryWriter, folder: Path) -> EncoderRecord:
    """Build the random encoder, store it and make it the ring's."""
    build = build_random(folder / "encoder")
    return Registrar(stack.store, writer).encoder(build, RING, (CELL,), RegistrySnapshot())


def _provision_heads(
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
