"""Every topic that a ring needs, with its settings, as data."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from manyheads.topics.limits import MAX_DEAD_LETTER_BYTES, MAX_RECORD_BYTES
from manyheads.topics.names import (
    REGISTRY_TOPIC,
    REPLIES_TOPIC,
    TELEMETRY_TOPIC,
    CellName,
    Lane,
    RingName,
    dead_letter_topic,
    embeddings_topic,
    job_topic,
    requests_topic,
)

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_MINUTE_MS = 60_000
RETENTION = "retention.ms"
# Longer than anybody waits for an answer, and than workers take to come back; see docs/privacy.md.
_TRANSIENT_MS = {Lane.INTERACTIVE: 15 * _MINUTE_MS, Lane.BATCH: _HOUR_MS}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it should be: the partitions are a minimum, the settings exact."""

    name: str
    partitions: int
    settings: dict[str, str] = field(default_factory=dict)
    initial: dict[str, str] = field(default_factory=dict)
    """what a new topic is given; afterwards it is its operator's"""


@dataclass(frozen=True, slots=True)
class Partitions:
    """How many partitions each kind of topic gets. Embedding partitions bound a cell's head workers."""

    requests: int = 8
    embeddings: int = 16
    replies: int = 8


def shared_topics(partitions: Partitions = Partitions()) -> tuple[TopicSpec, ...]:
    """The topics that all rings share: replies, the registry and the workers' reports."""
    return (
        # As long as embeddings, which replay compares with them.
        TopicSpec(REPLIES_TOPIC, partitions.replies, _records(), {RETENTION: str(_DAY_MS)}),
        TopicSpec(
            REGISTRY_TOPIC,
            1,  # one partition: its order is the order of decisions
            {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": str(_HOUR_MS)},
        ),
        # Few and small records: without short segments they would stay for a day.
        TopicSpec(
            TELEMETRY_TOPIC,
            1,
            # The broker's time beside the worker's own, in the report, shows a clock that is wrong.
            _records(_HOUR_MS) | {"segment.ms": str(_HOUR_MS // 4), "message.timestamp.type": "LogAppendTime"},
        ),
    )


def ring_topics(
    ring: RingName, cells: Iterable[CellName], partitions: Partitions = Partitions()
) -> tuple[TopicSpec, ...]:
    """The topics of one ring: requests and, for each cell, embeddings, retained and transient; both lanes.

    Each with its dead letters.
    """
    specs: list[TopicSpec] = []
    cells = tuple(cells)
    for lane in Lane:
        inputs = [TopicSpec(requests_topic(ring, lane), partitions.requests, _records(_DAY_MS))]
        for cell in cells:
            inputs += [
                TopicSpec(
                    embeddings_topic(ring, cell, lane), partitions.embeddings, _records(), {RETENTION: str(_DAY_MS)}
                ),
                TopicSpec(embeddings_topic(ring, cell, lane, transient=True), partitions.embeddings, _transient(lane)),
            ]
        for spec in inputs:
            dead_letters = _records(7 * _DAY_MS, MAX_DEAD_LETTER_BYTES)
            specs += [spec, TopicSpec(dead_letter_topic(spec.name), 1, dead_letters)]
    return tuple(specs)


def job_log_topic(job: str, partitions: int) -> TopicSpec:
    """The topic of a bulk job: kept for a month, within which the job may be gone on with."""
    return TopicSpec(job_topic(job), partitions, _records(), {RETENTION: str(30 * _DAY_MS)})


def _records(retention_ms: int | None = None, max_bytes: int = MAX_RECORD_BYTES) -> dict[str, str]:
    settings = {"cleanup.policy": "delete", "max.message.bytes": str(max_bytes)}
    return settings if retention_ms is None else settings | {RETENTION: str(retention_ms)}


def _transient(lane: Lane) -> dict[str, str]:
    """Settings with which a record is really off the disk soon after its time."""
    return _records(_TRANSIENT_MS[lane]) | {
        # A whole segment goes at once, when its last record is old enough.
        "segment.ms": str(_MINUTE_MS),
        "file.delete.delay.ms": "1000",
        # A worker's clock that is ahead would keep them.
        "message.timestamp.type": "LogAppendTime",
    }
