"""Records in and out, and where they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from manyheads.topics.headers import Headers


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


Offsets = Mapping[TopicPartition, int]
"""For each partition the offset of the next record to process, as Kafka commits it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One consumed record, as it stood in its topic."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to publish. With ``partition`` None the murmur2 of the key chooses, or chance if there is no key."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    partition: int | None = None
