"""``encoder build``: an encoder for a ring."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from manyheads.cli.catalogue import READ_S, read_registry
from manyheads.cli.encoder_kind import EncoderKind
from manyheads.cli.interrupts import Interrupts
from manyheads.cli.provision import Registrar
from manyheads.cli.settings import kafka_settings, model_store
from manyheads.cli.steps import console, step
from manyheads.encoder_worker.build import EncoderBuild, build_minilm, build_random
from manyheads.infra.process import Guard
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.topics.names import RingName
from manyheads.topics.names import cell as cell_name
from manyheads.topics.names import ring as ring_name
from manyheads.topics.registry import EncoderRecord


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What to build, and for whom."""

    kind: EncoderKind
    out: Path | None
    ring: str
    cells: tuple[str, ...]


def run_build(options: BuildOptions, bootstrap_servers: str | None, store_url: str | None) -> None:
    """Build the encoder; write it to a folder, or make it the ring's. Raises ManyheadsError."""
    ring = ring_name(options.ring)
    if options.out is not None:
        _build(options.kind, options.out, ring)
        return
    cells = tuple(map(cell_name, options.cells))
    settings, store = kafka_settings(bootstrap_servers), model_store(store_url)
    snapshot = read_registry(settings)  # before the work, so that a wrong address is told at once
    with Interrupts(), Guard() as guard, RegistryWriter(settings, READ_S) as writer:
        build = _build(options.kind, guard.folder, ring)
        record = Registrar(store, writer).encoder(build, ring, cells, snapshot)
    print(f"ring {ring} is served by encoder {record.version} (restart its encoder workers)")


def build_kind(kind: EncoderKind, folder: Path, progress: Callable[[str], None] | None = None) -> EncoderBuild:
    """Build into ``folder``. Raises ArtifactError."""
    match kind:
        case EncoderKind.MINILM:
            return build_minilm(folder, progress)
        case EncoderKind.RANDOM:
            return build_random(folder, progress=progress)


def summary(encoder: EncoderRecord, build: EncoderBuild) -> str:
    """The encoder in a line: version, size, relative error of its hidden states."""
    size = sum(artifact.bytes for artifact in encoder.artifacts) / 1e6
    found = f"{encoder.version}, {size:.1f} MB"
    return found if build.fidelity is None else f"{found}, within {build.fidelity.worst:.1%} of float32"


def _build(kind: EncoderKind, folder: Path, ring: RingName) -> EncoderBuild:
    with step(console(), f"Building {kind}") as current:
        build = build_kind(kind, folder)
        current.done = summary(build.record(ring), build)
    return build
