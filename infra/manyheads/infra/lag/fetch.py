"""Reading the first bytes of many backlogs: one request to each broker, and more for what is too large for it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kafka.errors import CorruptRecordError, KafkaError
from kafka.protocol.consumer import FetchRequest, IsolationLevel

from manyheads.infra.kafka.records import TopicPartition
from manyheads.infra.lag.backlog import Aborted, Backlog
from manyheads.infra.lag.bounds import Leaders
from manyheads.infra.lag.connection import Connection
from manyheads.infra.lag.turns import Turns

_LARGE_BATCHES = 256
"""of how many backlogs that begin with a larger batch than goes into an answer for many one round reads that batch"""
_NAMES_TOPICS = 12
"""the last version of a fetch request that names topics instead of giving their ids"""


@dataclass(frozen=True, slots=True)
class _Limits:
    """Bytes of an answer, and of each partition in it."""

    answer: int
    partition: int


_TOGETHER = _Limits(64 * 1024 * 1024, 16 * 1024)
_ONE_BATCH = _Limits(1, 1)
"""Kafka answers with one batch, however large"""

Place = tuple[TopicPartition, int]
"""a partition, and the offset that a group has committed in it"""
Nth = tuple[TopicPartition, int]
"""a partition, and which of the groups that stand in it, by the order of their offsets"""


class Looker:
    """Looks at backlogs, round by round."""

    def __init__(self, large_batches: int = _LARGE_BATCHES) -> None:
        """Of the backlogs that begin with a large batch, ``large_batches`` are read in one round."""
        self._turns: Turns[Nth] = Turns(large_batches)

    def look(
        self,
        connection: Connection,
        leaders: Leaders,
        backlogs: Mapping[Place, Backlog],
        ends: Mapping[TopicPartition, int],
    ) -> dict[Place, Backlog]:
        """Every backlog, looked at a little further. Those that could not be read stay as they are."""
        looked = dict(backlogs)
        empty = _read(connection, _together(leaders, looked), looked, ends, _TOGETHER)
        # Kafka leaves a batch out that is over the limit of its partition, unless it is the first of the answer.
        large = _nth(empty)
        alone = [(leaders[place[0]], [place]) for place in (large[nth] for nth in self._turns.take(large))]
        for place in _read(connection, alone, looked, ends, _ONE_BATCH):
            looked[place] = looked[place].seen_all(ends[place[0]])
        return looked


def _together(leaders: Leaders, places: Iterable[Place]) -> list[tuple[int, list[Place]]]:
    """Places by broker, so that no request has a partition twice: groups stand at different offsets of the same one."""
    requests: dict[tuple[int, int], list[Place]] = defaultdict(list)
    for (at, nth), place in _nth(places).items():
        requests[leaders[at], nth].append(place)
    return [(leader, asked) for (leader, _), asked in requests.items()]


def _nth(places: Iterable[Place]) -> dict[Nth, Place]:
    """Places by what stays the same while their groups move on."""
    times: dict[TopicPartition, int] = defaultdict(int)
    found: dict[Nth, Place] = {}
    for place in sorted(places):
        at = place[0]
        found[at, times[at]] = place
        times[at] += 1
    return found


def _read(
    connection: Connection,
    requests: Sequence[tuple[int, Sequence[Place]]],
    looked: dict[Place, Backlog],
    ends: Mapping[TopicPartition, int],
    limits: _Limits,
) -> list[Place]:
    """Look at what the requests bring; the places for which they brought nothing."""
    answers = connection.ask(
        {
            number: (
                leader,
                _request({at: looked[at, offset].seen_to for at, offset in places}, limits),
            )
            for number, (leader, places) in enumerate(requests)
        }
    )
    empty = []
    for number, answer in answers.items():
        if isinstance(answer, KafkaError):
            continue
        asked = {place[0]: place for place in requests[number][1]}
        for at, partition in _partitions(answer):
            place = asked[at]
            before = looked[place]
            aborted = [Aborted(each.producer_id, each.first_offset) for each in partition.aborted_transactions or ()]
            with suppress(CorruptRecordError):
                looked[place] = before.look(bytes(partition.records or b""), aborted, ends[at])
            if not partition.records:
                empty.append(place)
    return empty


def _partitions(answer: Any) -> Iterator[tuple[TopicPartition, Any]]:
    """Those that could be read: one whose leader has just changed, say, is left for the next round."""
    for topic in answer.responses:
        for partition in topic.partitions:
            if not partition.error_code:
                yield TopicPartition(topic.topic, partition.partition_index), partition


def _request(positions: Mapping[TopicPartition, int], limits: _Limits) -> FetchRequest:
    topic = FetchRequest.FetchTopic
    by_topic: dict[str, list[Any]] = defaultdict(list)
    for at, position in positions.items():
        by_topic[at.topic].append(
            topic.FetchPartition(partition=at.partition, fetch_offset=position, partition_max_bytes=limits.partition)
        )
    return FetchRequest(
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=limits.answer,
        isolation_level=IsolationLevel.READ_COMMITTED,
        topics=[topic(topic=name, partitions=partitions) for name, partitions in by_topic.items()],
        max_version=_NAMES_TOPICS,
    )
