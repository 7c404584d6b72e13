"""One round: everything that the brokers say, and nothing of what it means."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from manyheads.infra.kafka.records import TopicPartition
from manyheads.infra.lag.backlog import Backlog
from manyheads.infra.lag.bounds import NO_LEADER, Bounds, Leaders, Unreadable, leaders_of, newest_records, read_bounds
from manyheads.infra.lag.connection import Connection
from manyheads.infra.lag.fetch import Looker, Place
from manyheads.infra.lag.groups import GroupReading, read_groups
from manyheads.infra.lag.stages import GroupStage, expected_groups
from manyheads.topics.names import DEAD_LETTER_SUFFIX

GROUPS_TOPIC = "__consumer_offsets"
"""Kafka's own; the leader of one of its partitions coordinates the groups of that partition"""
MISSING = "Missing"
"""the state of a group that a stage of ours will have, once a worker has run"""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round brought."""

    groups: tuple[GroupReading, ...]
    stages: Mapping[str, GroupStage]
    """by group, which of our stages it is"""
    partitions: Mapping[str, tuple[TopicPartition, ...]]
    """by group, what it consumes"""
    bounds: Mapping[TopicPartition, Bounds | Unreadable]
    backlogs: Mapping[Place, Backlog]
    dead_letters: Mapping[str, Sequence[TopicPartition]]
    """the partitions of each dead-letter topic"""
    newest_ms: Mapping[TopicPartition, int | None]
    """when the newest record of each of them was written"""


class Measurer:
    """Remembers what it has looked at, so that what does not move costs nothing in the next round."""

    def __init__(self, wanted: re.Pattern[str] | None) -> None:
        self._wanted = wanted
        self._looker = Looker()
        self._backlogs: dict[Place, Backlog] = {}
        self._seen: set[str] = set()
        """the groups of the last round in which all could be seen"""
        self._newest: dict[TopicPartition, tuple[int, int | None]] = {}
        """for dead letters, when the newest was written, and the end of the log that this holds for"""

    def measure(self, connection: Connection) -> Round:
        """Ask everything. Raises kafka.errors.KafkaError if no broker answers."""
        metadata = connection.metadata()
        leaders: Leaders = leaders_of(metadata)
        topics: dict[str, list[TopicPartition]] = defaultdict(list)
        for at in leaders:
            topics[at.topic].append(at)
        stages = {name: stage for name, stage in expected_groups(topics).items() if self._is_wanted(name)}
        groups = self._groups(connection, metadata, leaders, stages)
        consumed = {group.name: _consumed(group, stages.get(group.name), topics) for group in groups}
        dead_letters = {name: at for name, at in topics.items() if name.endswith(DEAD_LETTER_SUFFIX)}
        of_dead_letters = [at for partitions in dead_letters.values() for at in partitions]
        leaders, bounds = read_bounds(
            connection, leaders, {*of_dead_letters, *(at for each in consumed.values() for at in each)}
        )
        places = [(at, position(group, at, bounds[at])) for group in groups for at in consumed[group.name]]
        places += [(at, start_of(bounds[at])) for at in of_dead_letters]
        self._look(connection, leaders, places, bounds)
        newest = self._newest_of(connection, leaders, of_dead_letters, bounds)
        return Round(groups, stages, consumed, bounds, self._backlogs, dead_letters, newest)

    def _groups(
        self,
        connection: Connection,
        metadata: Any,
        leaders: Leaders,
        stages: Iterable[str],
    ) -> tuple[GroupReading, ...]:
        """Those that the brokers know, that stages of ours will have, and that cannot be seen now."""
        groups = read_groups(connection, [broker.node_id for broker in metadata.brokers], self._wanted)
        found = {group.name for group in groups.found}
        if groups.silent or _is_any_leaderless(GROUPS_TOPIC, leaders):
            why = "a broker that coordinates groups does not answer, and it may be the one of this group"
            unseen = [GroupReading(name, MISSING, problem=why) for name in {*stages, *self._seen} - found]
        else:
            unseen = [GroupReading(name, MISSING) for name in {*stages} - found]
            self._seen = found
        return tuple(sorted((*groups.found, *unseen), key=lambda group: group.name))

    def _is_wanted(self, group: str) -> bool:
        return self._wanted is None or self._wanted.fullmatch(group) is not None

    def _look(
        self,
        connection: Connection,
        leaders: Leaders,
        places: Iterable[Place],
        bounds: Mapping[TopicPartition, Bounds | Unreadable],
    ) -> None:
        ends = {at: bound.end for at, bound in bounds.items() if isinstance(bound, Bounds)}
        # What nobody stands at any more is forgotten.
        known = {place: self._backlogs.get(place) or Backlog.at(place[1]) for place in places if place[0] in ends}
        more = {place: backlog for place, backlog in known.items() if backlog.wants_more(ends[place[0]])}
        self._backlogs = known | (self._looker.look(connection, leaders, more, ends) if more else {})

    def _newest_of(
        self,
        connection: Connection,
        leaders: Leaders,
        partitions: Iterable[TopicPartition],
        bounds: Mapping[TopicPartition, Bounds | Unreadable],
    ) -> dict[TopicPartition, int | None]:
        measured = {at: bound for at in partitions if isinstance(bound := bounds[at], Bounds)}
        changed = [
            at
            for at, bound in measured.items()
            if bound.end > bound.start and self._newest.get(at, (None,))[0] != bound.end
        ]
        asked = newest_records(connection, leaders, changed) if changed else {}
        self._newest = {
            at: (bound.end, asked.get(at, self._newest.get(at, (0, None))[1]) if bound.end > bound.start else None)
            for at, bound in measured.items()
        }
        return {at: newest for at, (_, newest) in self._newest.items()}


def _consumed(
    group: GroupReading, stage: GroupStage | None, topics: Mapping[str, Sequence[TopicPartition]]
) -> tuple[TopicPartition, ...]:
    """What it has committed, what its members have, and all of a topic that is a stage's input."""
    whole = () if stage is None else topics.get(stage.topic, ())
    return tuple(sorted({*group.committed, *group.owners, *whole}))


def position(group: GroupReading, at: TopicPartition, bound: Bounds | Unreadable) -> int:
    """Where a group goes on: the committed offset, or the log's first one if that is gone or it has none."""
    start = start_of(bound)
    return max(group.committed.get(at, start), start)


def start_of(bound: Bounds | Unreadable) -> int:
    """The log's first offset; 0 if it could not be read."""
    return bound.start if isinstance(bound, Bounds) else 0


def _is_any_leaderless(topic: str, leaders: Leaders) -> bool:
    return any(leader == NO_LEADER for at, leader in leaders.items() if at.topic == topic)
