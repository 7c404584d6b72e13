"""Consumer, publisher and transactions of a :class:`MemoryBroker`."""

from collections.abc import Sequence
from dataclasses import dataclass

from manyheads.infra.kafka.memory.broker import Group, Member, MemoryBroker, Transaction
from manyheads.infra.kafka.records import Offsets, Outgoing, Record, TopicPartition
from manyheads.infra.kafka.transport import Delivery, PublishFailure, RebalanceListener, TransactionLostError
from manyheads.topics.errors import BrokerError, ErrorCode


class MemoryConsumer:
    """A group member. Rebalances happen in :meth:`take`, as with a real one."""

    def __init__(self, broker: MemoryBroker, group: str, topic: str, listener: RebalanceListener) -> None:
        self._broker = broker
        self._topic = topic
        self._listener = listener
        self._group = broker.group(group, topic)
        self._member = Member()
        self._group.members.append(self._member)
        self._paused: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._refused: list[TopicPartition] = []

    def take(self, limit: int, timeout_s: float) -> list[Record]:
        if self._broker.away:
            return []
        self._rebalance()
        records: list[Record] = []
        for at in sorted(self._member.assigned - self._paused):
            if self._positions[at] > self._broker.end(at):  # the topic was made anew
                self._positions[at] = 0
            for record in self._broker.visible(at, self._positions[at]):
                if len(records) == limit:
                    return records
                records.append(record)
                self._positions[at] = record.offset + 1
        return records

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    def rewind(self, start: Offsets, timeout_s: float) -> bool:
        if self._broker.away:
            return False
        for at, offset in start.items():
            if at in self._member.assigned:
                self._positions[at] = self._group.committed.get(at, offset)
        return True

    def commit(self, offsets: Offsets) -> None:
        try:
            self.commit_now(offsets, 0)
        except BrokerError:
            self._refused += offsets

    def commit_now(self, offsets: Offsets, timeout_s: float) -> None:
        self._broker.require()
        if self._member not in self._group.members:
            raise BrokerError(ErrorCode.BROKER_UNREACHABLE, "this consumer is no member of its group any more")
        self._group.committed.update(offsets)

    def refused_commits(self) -> Sequence[TopicPartition]:
        refused, self._refused = self._refused, []
        return refused

    def membership(self) -> object:
        return Membership(self._group, self._member)

    def partition_count(self) -> int:
        self._broker.require()
        if self._topic not in self._broker.partitions:
            raise BrokerError(ErrorCode.TOPICS_MISSING, f"{self._topic} does not exist; create it", topic=self._topic)
        return self._broker.partitions[self._topic]

    def close(self, timeout_s: float) -> None:
        if self._member in self._group.members:
            self._let_go(set(self._member.assigned))
            self._group.members.remove(self._member)

    def _rebalance(self) -> None:
        if self._member not in self._group.members:
            lost = sorted(self._member.assigned)
            self._member = Member()
            self._group.members.append(self._member)
            if lost:
                self._listener.lost(lost)
        share = self._group.share(self._member, self._broker.partitions.get(self._topic, 0))
        self._let_go(self._member.assigned - share)
        new = sorted(share - self._member.assigned - self._group.held_by_others(self._member))
        if new:
            self._member.assigned.update(new)
            self._paused.update(new)
            self._positions |= {at: self._group.committed.get(at, 0) for at in new}
            self._listener.assigned(new)

    def _let_go(self, partitions: set[TopicPartition]) -> None:
        if partitions:
            self._listener.revoked(sorted(partitions))
            self._member.assigned -= partitions


@dataclass(frozen=True, slots=True)
class Membership:
    """Who asks for offsets to be committed with a transaction."""

    group: Group
    member: Member


class MemoryPublisher:
    """What is published while the broker is away waits for its return."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._waiting: list[tuple[Outgoing, object]] = []
        self._known: list[Delivery] = []

    def publish(self, outgoing: Outgoing, token: object) -> PublishFailure | None:
        objection = self._broker.objection(outgoing)
        if objection is None:
            self._waiting.append((outgoing, token))
            self._send()
        return objection

    @property
    def full(self) -> bool:
        return len(self._waiting) >= self._broker.queue_records

    def deliveries(self, timeout_s: float) -> list[Delivery]:
        if self._broker.away:
            return []
        self._send()
        known, self._known = self._known, []
        return known

    def close(self, timeout_s: float) -> None:
        self._waiting.clear()

    def _send(self) -> None:
        if self._broker.away:
            return
        for outgoing, token in self._waiting:
            refused = outgoing.topic in self._broker.denied
            if not refused:
                self._write(outgoing)
            self._known.append(Delivery(token, PublishFailure.REFUSED if refused else None, 0.0))
        self._waiting.clear()

    def _write(self, outgoing: Outgoing) -> None:
        self._broker.append(outgoing)


class MemoryTransactions(MemoryPublisher):
    """A transaction that failed, timed out or was shut out is lost at its end.

    One that has a record for a topic that is denied fails as Kafka's do: all its records are lost. Which of them could
    not be is told when they are published again.
    """

    def __init__(self, broker: MemoryBroker, transactional_id: str) -> None:
        super().__init__(broker)
        self._id = transactional_id
        self._transaction: Transaction | None = None
        self._failed = False
        self._suspicious = False

    def publish(self, outgoing: Outgoing, token: object) -> PublishFailure | None:
        if self._suspicious and outgoing.topic in self._broker.denied:
            return PublishFailure.REFUSED
        return super().publish(outgoing, token)

    def begin(self, timeout_s: float) -> bool:
        if self._broker.away:
            return False
        predecessor = self._broker.open_transactions.get(self._id)
        if predecessor is not None and predecessor.committed is None:
            predecessor.committed = False
        self._known.clear()
        self._failed = False
        self._transaction = self._broker.open_transactions[self._id] = Transaction()
        return True

    def end(self, offsets: Offsets, membership: object, timeout_s: float) -> bool:
        if self._broker.away or self._broker.undecided:
            return False
        assert isinstance(membership, Membership)
        transaction, self._transaction = self._transaction, None
        if transaction is None or transaction.committed is not None:
            raise TransactionLostError("it was aborted, because it took too long or by a newer producer of its id")
        if self._failed or membership.member not in membership.group.members:
            transaction.committed = False
            raise TransactionLostError("a record was refused, or the consumer is no member of its group any more")
        transaction.committed = True
        membership.group.committed.update(offsets)
        return True

    def give_up(self) -> None:
        self._waiting.clear()
        self._failed = self._suspicious = True

    def close(self, timeout_s: float) -> None:
        transaction = self._broker.open_transactions.get(self._id)
        if transaction is not None and transaction is self._transaction:
            transaction.committed = False
        super().close(timeout_s)

    def _send(self) -> None:
        if self._broker.away:
            return
        self._failed = self._failed or any(outgoing.topic in self._broker.denied for outgoing, _ in self._waiting)
        if self._failed:
            self._known += [Delivery(token, PublishFailure.LOST, 0.0) for _, token in self._waiting]
            self._waiting.clear()
        super()._send()

    def _write(self, outgoing: Outgoing) -> None:
        self._broker.append(outgoing, self._transaction)
