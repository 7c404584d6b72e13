"""The head worker's process: settings in, a stage worker on both lanes, exit code out."""

from itertools import product

from manyheads.head_worker.settings import HeadWorkerSettings
from manyheads.head_worker.stage import HeadStage, HeadStageOptions
from manyheads.infra.registry.follower import RegistryFollower
from manyheads.infra.registry.snapshot import RegistrySnapshot
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.stage.options import LaneInput
from manyheads.infra.stage.worker import StageWorker, run_until_signalled
from manyheads.infra.store import StoreSettings
from manyheads.infra.worker.parts import Role, open_parts
from manyheads.topics.errors import ErrorCode, RoutingError
from manyheads.topics.names import CellName, Lane, RingName, embeddings_topic, head_group


def run_worker(settings: HeadWorkerSettings, kafka: KafkaSettings, store: StoreSettings) -> None:
    """Serve the cell until SIGTERM or SIGINT, then drain.

    Raises:
        RoutingError: unknown_ring, if the ring was not registered with this cell in time.
        InvalidSettings: the store cannot be opened, or the metrics port is taken.
        BrokerError: Kafka cannot be reached, or lacks the cell's topics.
        InternalError: worker_halted, because nearly every record failed.
    """
    role = Role("head", settings.ring, settings.cell)
    with open_parts(role, settings, kafka, store) as parts:
        observer = parts.observer
        observer.health.set("worker", False, f"ring {role.ring} with cell {settings.cell} is not registered yet")
        await_cell(parts.registry, role.ring, settings.cell, settings.registry_timeout_s)
        options = HeadStageOptions(grace_s=settings.grace_s)
        stage = HeadStage(role.ring, settings.cell, parts.registry, parts.models, options, observer=observer)
        inputs = lane_inputs(role.ring, settings.cell)
        run_until_signalled(StageWorker(kafka, stage, inputs, parts.options, observer=observer))


def await_cell(registry: RegistryFollower, ring: RingName, cell: CellName, timeout_s: float) -> None:
    """Return once the ring is registered with this cell.

    Raises:
        RoutingError: unknown_ring, if it was not within ``timeout_s``; the message says what is missing.
    """

    def known(snapshot: RegistrySnapshot) -> bool:
        record = snapshot.ring(ring)
        return record is not None and cell in record.cells

    if registry.wait_until(known, timeout_s):
        return
    record = registry.snapshot.ring(ring)
    found = f"has the cells {', '.join(record.cells)}, not {cell}" if record else "is not registered"
    raise RoutingError(
        ErrorCode.UNKNOWN_RING,
        f"ring {ring} {found}, after {timeout_s:g} s; register it with this cell, or correct MANYHEADS_RING and "
        "MANYHEADS_CELL",
        ring=ring,
        cell=cell,
        waited_s=timeout_s,
    )


def lane_inputs(ring: RingName, cell: CellName) -> tuple[LaneInput, ...]:
    """The embeddings topics of a cell: both lanes, retained and transient."""
    return tuple(
        LaneInput(
            lane,
            ring,
            embeddings_topic(ring, cell, lane, transient=transient),
            head_group(ring, cell, lane, transient=transient),
        )
        for lane, transient in product(Lane, (False, True))
    )
