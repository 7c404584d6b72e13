"""``train``: a head for a tenant, from its own utterances."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from manyheads.cli.catalogue import READ_S, choose_cell, find_ring, placed, read_registry
from manyheads.cli.demo.utterances import load_examples
from manyheads.cli.provision import stored_head
from manyheads.cli.settings import kafka_settings, model_store
from manyheads.cli.steps import console, step
from manyheads.cli.teaching import Lesson, Teacher
from manyheads.head_worker.head import HEAD_FILE
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store import ModelStore
from manyheads.topics.errors import ErrorCode, InvalidRequest, ManyheadsError, RoutingError
from manyheads.topics.names import CellName, RingName
from manyheads.topics.names import cell as cell_name
from manyheads.topics.names import ring as ring_name
from manyheads.topics.names import tenant as tenant_name
from manyheads.topics.registry import EncoderRecord, HeadRecord, RegistryRecord


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

    @property
    def wanted_cell(self) -> CellName | None:
        """The cell that is asked for. Raises InvalidRequest(invalid_name)."""
        return None if self.cell is None else cell_name(self.cell)


def run_train(options: TrainOptions, bootstrap_servers: str | None, store_url: str | None) -> None:
    """Train, register and, if wanted, activate a head. Raises ManyheadsError."""
    ring, tenant = ring_name(options.ring), tenant_name(options.tenant)
    examples = load_examples(options.examples)
    settings, store = kafka_settings(bootstrap_servers), model_store(store_url)
    before = read_registry(settings)
    choose_cell(before, ring, tenant, options.wanted_cell)
    if options.out is not None:
        _prepare(options.out)
    out = console()
    with step(out, "Loading the ring's encoder") as current:
        teacher = Teacher.load(live_encoder(before, ring), store)
        current.done = f"encoder {teacher.encoder.record.version}"
    with step(out, f"Training on {len(examples.train):,} utterances") as current:
        lesson = teacher.teach(tenant, examples)
        current.done = (
            f"head {lesson.version}: {len(examples.intents)} intents, {len(examples.entity_labels)} entity labels, "
            f"{len(lesson.model) / 1e3:.0f} KB"
        )
    if options.out is not None:
        _write(options.out, lesson)
        print(f"written; to try it on the past: manyheads replay {tenant} --head {options.out} --ring {ring}")
        return
    head = stored_head(lesson, store)
    _register(head, options, before, settings, store)
    if options.activate:
        print(f"{tenant} in ring {ring} is answered by head {head.version}")
    else:
        print(f"registered; to let it answer: manyheads activate {tenant} {head.version} --ring {ring}")


def _register(
    head: HeadRecord, options: TrainOptions, before: RegistrySnapshot, settings: KafkaSettings, store: ModelStore
) -> None:
    """Write the records of a trained head, whose file is stored; ``before`` is the registry before the training."""
    with RegistryWriter(settings, READ_S) as writer:
        # As the registry is now: a training takes long. What others write of this tenant between this look and the
        # writing, tenths of a second, is still undone, because Kafka cannot write a record only if another is as read.
        now = read_registry(settings)
        try:
            records = _records(head, options, before, now)
        except ManyheadsError:
            # No record is going to name the file, so nobody would ever delete it.
            if head.artifact.sha256 not in now.file_users():
                store.remove(head.artifact)
            raise
        writer.put(*records)


def _records(
    head: HeadRecord, options: TrainOptions, before: RegistrySnapshot, now: RegistrySnapshot
) -> tuple[RegistryRecord, ...]:
    if _deleted(head, before, now):
        raise RoutingError(
            ErrorCode.UNKNOWN_TENANT,
            f"tenant {head.tenant} was deleted from ring {head.ring} while its head was trained, so the head was not "
            "registered; to have the tenant again, train once more",
            ring=head.ring,
            tenant=head.tenant,
        )
    if not options.activate:
        return (head,)
    return head, placed(now, head, choose_cell(now, head.ring, head.tenant, options.wanted_cell))


def _deleted(head: HeadRecord, before: RegistrySnapshot, now: RegistrySnapshot) -> bool:
    """Whether the head's tenant was in its ring before, and is not now."""
    if now.placement(head.ring, head.tenant) is not None:
        return False
    if before.placement(head.ring, head.tenant) is not None:
        return True
    return _has_heads(before, head) and not _has_heads(now, head)  # never placed


def _has_heads(snapshot: RegistrySnapshot, head: HeadRecord) -> bool:
    return any(other.tenant == head.tenant for other in snapshot.heads(head.ring))


def _prepare(folder: Path) -> None:
    """Make the folder, and see that it can be written, before hours of training. Raises InvalidRequest."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def _write(folder: Path, lesson: Lesson) -> None:
    try:
        (folder / HEAD_FILE).write_bytes(lesson.model)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> InvalidRequest:
    return InvalidRequest(
        ErrorCode.INVALID_ARGUMENT,
        f"--out {folder}: {HEAD_FILE} cannot be written there ({error.strerror or error}); name a folder that is yours "
        "to write, or a new one",
        out=str(folder),
        errno=error.errno,
    )


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
