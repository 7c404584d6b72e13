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
    requests_topic,
)

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it should be: the partitions are a minimum, the settings exact."""

    name: str
    partitions: int
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Partitions:
    """How many partitions each kind of topic gets. Embedding partitions bound a cell's head workers."""

    requests: int = 8
    embeddings: int = 16
    replies: int = 8


def shared_topics(partitions: Partitions = Partitions()) -> tuple[TopicSpec, ...]:
    """The topics that all rings share: replies, the registry and the workers' reports."""
    return (
        TopicSpec(REPLIES_TOPIC, partitions.replies, _records(_HOUR_MS)),
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
    """The topics of one ring: requests and, for each cell, embeddings; both lanes; each with its dead letters."""
    specs: list[TopicSpec] = []
    cells = tuple(cells)
    for lane in Lane:
        inputs = [TopicSpec(requests_topic(ring, lane), partitions.requests, _records(_DAY_MS))]
        inputs += [
            TopicSpec(embeddings_topic(ring, cell, lane), partitions.embeddings, _records(_DAY_MS)) for cell in cells
        ]
        for spec in inputs:
            dead_letters = _records(7 * _DAY_MS, MAX_DEAD_LETTER_BYTES)
            specs += [spec, TopicSpec(dead_letter_topic(spec.name), 1, dead_letters)]
    return tuple(specs)


def _records(retention_ms: int, max_bytes: int = MAX_RECORD_BYTES) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(retention_ms), "max.message.bytes": str(max_bytes)}
