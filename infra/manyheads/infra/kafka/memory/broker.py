"""Logs, groups and transactions in memory."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from manyheads.infra.kafka.records import Outgoing, Record, TopicPartition
from manyheads.infra.kafka.transport import PublishFailure
from manyheads.topics.errors import BrokerError, ErrorCode
from manyheads.topics.partitions import partition_of


class Transaction:
    """While it is open, its records hide all that follows them in their partition."""

    def __init__(self) -> None:
        self.committed: bool | None = None
        """None: open; False: aborted"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record in a log."""

    record: Record
    transaction: Transaction | None


@dataclass(eq=False, slots=True)
class Member:
    """One consumer in its group."""

    assigned: set[TopicPartition] = field(default_factory=set)


@dataclass(slots=True)
class Group:
    """A consumer group of one topic: partitions are dealt out in turn, and change hands only once they are let go."""

    topic: str
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)

    def share(self, member: Member, partitions: int) -> set[TopicPartition]:
        """What the member should have."""
        index, count = self.members.index(member), len(self.members)
        return {TopicPartition(self.topic, number) for number in range(index, partitions, count)}

    def held_by_others(self, member: Member) -> set[TopicPartition]:
        """What it cannot have yet."""
        return {at for other in self.members if other is not member for at in other.assigned}


class MemoryBroker:
    """The state of a cluster."""

    def __init__(self, max_message_bytes: int) -> None:
        self.max_message_bytes = max_message_bytes
        self.away = False
        self.undecided = False
        self.queue_records = 50_000
        """that a publisher holds before it is full"""
        self.denied: set[str] = set()
        self.now_ms = 0
        self.partitions: dict[str, int] = {}
        self.groups: dict[str, Group] = {}
        self.open_transactions: dict[str, Transaction] = {}
        """by transactional id"""
        self._logs: dict[TopicPartition, list[Entry]] = {}
        self._turn = itertools.count()

    def create_topic(self, topic: str, partitions: int) -> None:
        """A topic, or more partitions of one."""
        for number in range(self.partitions.get(topic, 0), partitions):
            self._logs[TopicPartition(topic, number)] = []
        self.partitions[topic] = partitions

    def delete_topic(self, topic: str) -> None:
        """Forget a topic and its records."""
        for number in range(self.partitions.pop(topic)):
            del self._logs[TopicPartition(topic, number)]

    def require(self) -> None:
        """Raises BrokerError(broker_unreachable) while the broker is away."""
        if self.away:
            raise BrokerError(ErrorCode.BROKER_UNREACHABLE, "the broker in memory is away")

    def objection(self, outgoing: Outgoing) -> PublishFailure | None:
        """Why a client would not even send the record."""
        if (outgoing.partition or 0) >= self.partitions.get(outgoing.topic, 0):
            return PublishFailure.REFUSED
        parts = [outgoing.key, outgoing.value, *(value for _, value in outgoing.headers)]
        size = sum(len(part or b"") for part in parts)
        return PublishFailure.TOO_LARGE if size > self.max_message_bytes else None

    def append(self, outgoing: Outgoing, transaction: Transaction | None = None) -> Record:
        """Write a record to which there is no objection."""
        count = self.partitions[outgoing.topic]
        number = outgoing.partition
        if number is None:
            number = next(self._turn) % count if outgoing.key is None else partition_of(outgoing.key, count)
        log = self._logs[TopicPartition(outgoing.topic, number)]
        record = Record(
            outgoing.topic, number, len(log), self.now_ms, outgoing.key, outgoing.value, tuple(outgoing.headers)
        )
        log.append(Entry(record, transaction))
        return record

    def visible(self, at: TopicPartition, offset: int = 0) -> Iterator[Record]:
        """What a read-committed consumer sees from ``offset`` on."""
        for entry in self._logs[at][offset:]:
            if entry.transaction is None or entry.transaction.committed:
                yield entry.record
            elif entry.transaction.committed is None:
                return

    def end(self, at: TopicPartition) -> int:
        """The offset of the next record."""
        return len(self._logs[at])

    def all_records(self, at: TopicPartition) -> Iterator[Record]:
        """Those of open and aborted transactions too."""
        return (entry.record for entry in self._logs[at])

    def group(self, name: str, topic: str) -> Group:
        """The group, made at its first use."""
        return self.groups.setdefault(name, Group(topic))
