"""Where the logs begin and end: all partitions of a leader in one request."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kafka.errors import KafkaError, for_code
from kafka.protocol.consumer import IsolationLevel, ListOffsetsRequest, OffsetSpec

from manyheads.infra.kafka.records import TopicPartition
from manyheads.infra.lag.connection import Connection

NO_LEADER = -1
_PAUSES_S = (0.05, 0.1, 0.2)
"""before asking anew: a new leader needs a moment to know that it is, and the others to know of it"""
Leaders = Mapping[TopicPartition, int]
"""the broker that leads each partition that exists; NO_LEADER where none does"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first offset of a log, and the last stable one: what a consumer at ``read_committed`` can reach."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A log whose bounds are not known."""

    why: str
    """for people"""
    passing: bool = False
    """whether it may be readable in a moment, as when it has a new leader"""


_LEFT_OUT = Unreadable("its leader left it out of its answer")


def leaders_of(metadata: Any) -> dict[TopicPartition, int]:
    """The partitions of all topics, from Kafka's metadata."""
    return {
        TopicPartition(topic.name, partition.partition_index): partition.leader_id
        for topic in metadata.topics
        for partition in topic.partitions
    }


def read_bounds(
    connection: Connection, leaders: Leaders, wanted: Iterable[TopicPartition]
) -> tuple[Leaders, dict[TopicPartition, Bounds | Unreadable]]:
    """The bounds of each wanted partition, or why there are none; and who leads the partitions now.

    One round trip, and some more where a leader has just changed.
    """
    found = _read(connection, leaders, wanted)
    led_by = dict(leaders)
    for pause_s in _PAUSES_S:
        passing = [at for at, bound in found.items() if isinstance(bound, Unreadable) and bound.passing]
        if not passing:
            break
        time.sleep(pause_s)
        now = leaders_of(connection.metadata())
        found |= _read(connection, now, passing)
        led_by |= now
    return led_by, found


def _read(
    connection: Connection, leaders: Leaders, wanted: Iterable[TopicPartition]
) -> dict[TopicPartition, Bounds | Unreadable]:
    found: dict[TopicPartition, Bounds | Unreadable] = {}
    by_leader: dict[int, list[TopicPartition]] = defaultdict(list)
    for at in wanted:
        leader = leaders.get(at)
        if leader is None:
            found[at] = Unreadable("the topic has no such partition any more: it was deleted, or made anew with fewer")
        elif leader == NO_LEADER:
            found[at] = Unreadable("the partition has no leader: a broker that holds it must come back")
        else:
            by_leader[leader].append(at)
    specs = (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
    answers = connection.ask(
        {(leader, spec): (leader, _request(spec, at)) for leader, at in by_leader.items() for spec in specs}
    )
    offsets: dict[OffsetSpec, dict[TopicPartition, int | Unreadable]] = {spec: {} for spec in specs}
    for (leader, spec), answer in answers.items():
        if isinstance(answer, KafkaError):
            why = Unreadable(f"its leader, broker {leader}, does not answer ({type(answer).__name__})")
            offsets[spec] |= dict.fromkeys(by_leader[leader], why)
        else:
            offsets[spec] |= _offsets(answer)
    for at in (at for led in by_leader.values() for at in led):
        start, end = (offsets[spec].get(at, _LEFT_OUT) for spec in specs)
        if isinstance(start, Unreadable):
            found[at] = start
        elif isinstance(end, Unreadable):
            found[at] = end
        else:
            found[at] = Bounds(start, max(start, end))
    return found


def newest_records(
    connection: Connection, leaders: Leaders, wanted: Iterable[TopicPartition]
) -> dict[TopicPartition, int | None]:
    """When the newest record of each partition was written, in ms since 1970. One round trip."""
    by_leader: dict[int, list[TopicPartition]] = defaultdict(list)
    for at in wanted:
        by_leader[leaders[at]].append(at)
    answers = connection.ask(
        {leader: (leader, _request(OffsetSpec.MAX_TIMESTAMP, at)) for leader, at in by_leader.items()}
    )
    found: dict[TopicPartition, int | None] = {}
    for answer in answers.values():
        if not isinstance(answer, KafkaError):
            for topic in answer.topics:
                for partition in topic.partitions:
                    at = TopicPartition(topic.name, partition.partition_index)
                    found[at] = None if partition.error_code or partition.timestamp < 0 else partition.timestamp
    return found


def _request(spec: OffsetSpec, wanted: Iterable[TopicPartition]) -> ListOffsetsRequest:
    topic = ListOffsetsRequest.ListOffsetsTopic
    by_topic: dict[str, list[Any]] = defaultdict(list)
    for at in wanted:
        by_topic[at.topic].append(topic.ListOffsetsPartition(partition_index=at.partition, timestamp=spec))
    return ListOffsetsRequest(
        isolation_level=IsolationLevel.READ_COMMITTED,
        topics=[topic(name=name, partitions=partitions) for name, partitions in by_topic.items()],
        min_version=ListOffsetsRequest.min_version_for_timestamp(OffsetSpec.MAX_TIMESTAMP),
    )


def _offsets(answer: Any) -> dict[TopicPartition, int | Unreadable]:
    return {
        TopicPartition(topic.name, partition.partition_index): (
            _refused(for_code(partition.error_code)) if partition.error_code else partition.offset
        )
        for topic in answer.topics
        for partition in topic.partitions
    }


def _refused(error: type[KafkaError]) -> Unreadable:
    return Unreadable(f"its leader says {error.__name__}", passing=error.retriable)
