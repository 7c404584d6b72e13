"""The encoder worker's process: settings in, a stage worker on both lanes, exit code out."""

import logging
from pathlib import Path

from manyheads.encoder_worker.devices import needed_files, resolve_device
from manyheads.encoder_worker.model import EncoderModel, EncoderOptions
from manyheads.encoder_worker.settings import EncoderWorkerSettings
from manyheads.encoder_worker.stage import EncoderStage
from manyheads.infra.registry.follower import RegistryFollower
from manyheads.infra.registry.snapshot import RegistrySnapshot
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.stage.options import LaneInput
from manyheads.infra.stage.worker import StageWorker, run_until_signalled
from manyheads.infra.store import ModelStore, StoreSettings
from manyheads.infra.telemetry import event
from manyheads.infra.worker.parts import Role, open_parts
from manyheads.topics.errors import ErrorCode, RoutingError
from manyheads.topics.metrics import ENCODER_INFO
from manyheads.topics.names import Lane, RingName, encoder_group, requests_topic
from manyheads.topics.registry import EncoderRecord

_log = logging.getLogger(__name__)


def run_worker(settings: EncoderWorkerSettings, kafka: KafkaSettings, store: StoreSettings) -> None:
    """Serve the ring until SIGTERM or SIGINT, then drain.

    Raises:
        RoutingError: unknown_ring, if the ring or its encoder was not registered in time.
        ArtifactError: the encoder's files are missing, damaged or another encoder's.
        InvalidSettings: the device or the store is not there.
        BrokerError: Kafka cannot be reached, or lacks the ring's topics.
        InternalError: worker_halted, because nearly every record failed.
    """
    role = Role("encoder", settings.ring)
    with open_parts(role, settings, kafka, store) as parts:
        observer = parts.observer
        observer.health.set("worker", False, f"ring {settings.ring} and its encoder are not registered yet")
        record = await_encoder(parts.registry, settings.ring, settings.registry_timeout_s)
        observer.health.set("worker", False, f"encoder {record.version} is being loaded")
        model = _load(record, settings, parts.models)
        observer.models = {"encoder": record.version, "space": record.space}
        labels = {"ring": settings.ring, "version": record.version, "space": record.space}
        observer.metrics.set(ENCODER_INFO, labels, 1)
        stage = EncoderStage(settings.ring, model, parts.registry, observer.metrics)
        run_until_signalled(StageWorker(kafka, stage, lane_inputs(settings.ring), parts.options, observer=observer))


def await_encoder(registry: RegistryFollower, ring: RingName, timeout_s: float) -> EncoderRecord:
    """The record of the ring's live encoder, once it is registered.

    Raises:
        RoutingError: unknown_ring, if it was not within ``timeout_s``; the message says what is missing.
    """

    def live(snapshot: RegistrySnapshot) -> EncoderRecord | None:
        record = snapshot.ring(ring)
        return snapshot.encoder(ring, record.encoder) if record else None

    registry.wait_until(live, timeout_s)
    snapshot = registry.snapshot
    found = live(snapshot)
    if found is None:
        record = snapshot.ring(ring)
        missing = f"encoder {record.encoder} of ring {ring}" if record else f"ring {ring}"
        raise RoutingError(
            ErrorCode.UNKNOWN_RING,
            f"{missing} was not registered within {timeout_s:g} s; build and publish its encoder first, see: "
            "manyheads encoder --help",
            ring=ring,
            encoder=record.encoder if record else None,
            waited_s=timeout_s,
        )
    return found


def lane_inputs(ring: RingName) -> tuple[LaneInput, ...]:
    """The requests topics of a ring: both lanes."""
    return tuple(LaneInput(lane, ring, requests_topic(ring, lane), encoder_group(ring, lane)) for lane in Lane)


def _load(record: EncoderRecord, settings: EncoderWorkerSettings, models: ModelStore) -> EncoderModel:
    device = resolve_device(settings.device, {ref.name for ref in record.artifacts})
    files: dict[str, Path] = {ref.name: models.fetch(ref) for ref in needed_files(record, device)}
    options = EncoderOptions(device, settings.threads, settings.tokens_per_run)
    model = EncoderModel.load(record, files, options)
    event(_log, "encoder_loaded", ring=record.ring, version=record.version, space=record.space, device=device)
    return model
