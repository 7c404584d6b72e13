"""``train``: a head for a tenant, from its own utterances."""

from dataclasses import dataclass
from pathlib import Path

from manyheads.cli.catalogue import READ_S, find_ring, read_registry
from manyheads.cli.demo.utterances import load_examples
from manyheads.cli.provision import Registrar
from manyheads.cli.settings import kafka_settings, model_store
from manyheads.cli.steps import console, step
from manyheads.cli.teaching import Teacher
from manyheads.head_worker.head import HEAD_FILE
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.topics.errors import ErrorCode, InvalidRequest, RoutingError
from manyheads.topics.names import CellName, RingName, TenantName
from manyheads.topics.names import cell as cell_name
from manyheads.topics.names import ring as ring_name
from manyheads.topics.names import tenant as tenant_name
from manyheads.topics.registry import EncoderRecord


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What to train, and for whom."""

    tenant: str
    examples: Path
    ring: str
    cell: str | None
    activate: bool
    out: Path | None = None
    """a folder to write the head to, instead of registering it"""


def run_train(options: TrainOptions, bootstrap_servers: str | None, store_url: str | None) -> None:
    """Train, register and, if wanted, activate a head. Raises ManyheadsError."""
    ring, tenant = ring_name(options.ring), tenant_name(options.tenant)
    examples = load_examples(options.examples)
    settings, store = kafka_settings(bootstrap_servers), model_store(store_url)
    snapshot = read_registry(settings)
    cell = choose_cell(snapshot, ring, tenant, None if options.cell is None else cell_name(options.cell))
    out = console()
    with step(out, "Loading the ring's encoder") as current:
        teacher = Teacher.load(live_encoder(snapshot, ring), store)
        current.done = f"encoder {teacher.encoder.record.version}"
    with step(out, f"Training on {len(examples.train):,} utterances") as current:
        lesson = teacher.teach(tenant, examples)
        current.done = (
            f"head {lesson.version}: {len(examples.intents)} intents, {len(examples.entity_labels)} entity labels, "
            f"{len(lesson.model) / 1e3:.0f} KB"
        )
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / HEAD_FILE).write_bytes(lesson.model)
        print(f"written; to try it on the past: manyheads replay {tenant} --head {options.out} --ring {ring}")
        return
    with RegistryWriter(settings, READ_S) as writer:
        registrar = Registrar(store, writer)
        head = registrar.head(lesson)
        if options.activate:
            registrar.activate(head, cell, snapshot)
    if options.activate:
        print(f"{tenant} in ring {ring} is answered by head {head.version}")
    else:
        print(f"registered; to let it answer: manyheads activate {tenant} {head.version} --ring {ring}")


def live_encoder(snapshot: RegistrySnapshot, ring: RingName) -> EncoderRecord:
    """The encoder that serves the ring. Raises RoutingError(unknown_ring)."""
    record = find_ring(snapshot, ring)
    encoder = snapshot.encoder(ring, record.encoder)
    if encoder is None:
        raise RoutingError(
            ErrorCode.UNKNOWN_RING,
            f"ring {ring} is served by encoder {record.encoder}, which is not registered; build it with "
            f"manyheads encoder build --ring {ring}",
            ring=ring,
            encoder=record.encoder,
        )
    return encoder


def choose_cell(snapshot: RegistrySnapshot, ring: RingName, tenant: TenantName, wanted: CellName | None) -> CellName:
    """The cell that the tenant shall live in: the one wanted, else where it is, else the ring's first.

    Raises:
        RoutingError: unknown_ring.
        InvalidRequest: invalid_argument if the ring has no such cell.
    """
    cells = find_ring(snapshot, ring).cells
    placement = snapshot.placement(ring, tenant)
    cell = wanted or (placement.cell if placement is not None else cells[0])
    if cell not in cells:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT, f"ring {ring} has no cell {cell}; it has {', '.join(cells)}", ring=ring
        )
    return cell
