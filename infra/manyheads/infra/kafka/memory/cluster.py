"""The cluster in memory that a test holds."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from manyheads.infra.kafka.memory.broker import MemoryBroker
from manyheads.infra.kafka.memory.clients import MemoryConsumer, MemoryPublisher, MemoryTransactions
from manyheads.infra.kafka.records import Outgoing, Record, TopicPartition
from manyheads.infra.kafka.transport import RebalanceListener
from manyheads.topics.limits import MAX_MESSAGE_BYTES


class MemoryKafka:
    """A :class:`manyheads.infra.kafka.transport.Transport` in memory, for one thread.

    Records, groups with incremental rebalances, committed offsets and transactions behave as with a broker. Nothing
    happens by itself: no thread runs and no time passes, so that a test decides when what happens::

        kafka = MemoryKafka({"nlu.en.requests": 2, "nlu.en.requests-dlt": 1, "nlu.replies": 1})
        kafka.write(Outgoing("nlu.en.requests", request.to_bytes(), headers=envelope.to_headers()))
        worker = StageWorker(kafka, stage, [LaneInput(Lane.INTERACTIVE, ring("en"), "nlu.en.requests", "group")])
        worker.open()
        worker.step()
        replies = kafka.read("nlu.replies")

    It has no retention, no compaction and one broker, and it forgets no silent member; see :meth:`expel`.

    Args:
        topics: names and partition counts.
        max_message_bytes: the size limit of a record: key, value and headers.
    """

    def __init__(self, topics: Mapping[str, int], max_message_bytes: int = MAX_MESSAGE_BYTES + 64 * 1024) -> None:
        self._broker = MemoryBroker(max_message_bytes)
        for topic, partitions in topics.items():
            self._broker.create_topic(topic, partitions)

    # What a test does

    def create_topic(self, topic: str, partitions: int) -> None:
        """A topic, or more partitions of one."""
        self._broker.create_topic(topic, partitions)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with its records."""
        self._broker.delete_topic(topic)

    def write(self, outgoing: Outgoing) -> Record:
        """Append a record as a client would. Raises ValueError for a missing topic or a record that is too large."""
        objection = self._broker.objection(outgoing)
        if objection is not None:
            raise ValueError(f"{outgoing.topic} does not take this record: {objection}")
        return self._broker.append(outgoing)

    def read(self, topic: str) -> list[Record]:
        """The topic's records that a client sees, partition by partition."""
        return [record for at in self._of(topic) for record in self._broker.visible(at)]

    def read_uncommitted(self, topic: str) -> list[Record]:
        """The same with those of open and aborted transactions."""
        return [record for at in self._of(topic) for record in self._broker.all_records(at)]

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """What a group has committed."""
        return dict(self._broker.groups[group].committed) if group in self._broker.groups else {}

    def set_time(self, now_ms: int) -> None:
        """The timestamp of the records that are written from now on."""
        self._broker.now_ms = now_ms

    @contextmanager
    def away(self) -> Iterator[None]:
        """Within it the broker is away: nothing is read, written, acknowledged or committed."""
        self._broker.away = True
        try:
            yield
        finally:
            self._broker.away = False

    @contextmanager
    def undecided(self) -> Iterator[None]:
        """Within it no transaction that is to be committed is decided yet; all else goes on."""
        self._broker.undecided = True
        try:
            yield
        finally:
            self._broker.undecided = False

    @contextmanager
    def with_full_publishers(self) -> Iterator[None]:
        """Within it publishers hold as much as they may."""
        before, self._broker.queue_records = self._broker.queue_records, 0
        try:
            yield
        finally:
            self._broker.queue_records = before

    @contextmanager
    def denying(self, topic: str) -> Iterator[None]:
        """Within it nobody may write to the topic, which a publisher learns only from the delivery."""
        self._broker.denied.add(topic)
        try:
            yield
        finally:
            self._broker.denied.remove(topic)

    def expel(self, group: str) -> None:
        """Take all members out of a group, as a broker does that has not heard of them for too long."""
        self._broker.groups[group].members.clear()

    def time_out_transactions(self) -> None:
        """Abort every open transaction, as a broker does after their time."""
        for transaction in self._broker.open_transactions.values():
            if transaction.committed is None:
                transaction.committed = False

    def _of(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._broker.partitions[topic])]

    # What a worker asks for

    def consumer(self, group: str, topic: str, listener: RebalanceListener, *, prefetch_bytes: int) -> MemoryConsumer:
        return MemoryConsumer(self._broker, group, topic, listener)

    def publisher(self) -> MemoryPublisher:
        return MemoryPublisher(self._broker)

    def transactions(self, transactional_id: str) -> MemoryTransactions:
        return MemoryTransactions(self._broker, transactional_id)

    def missing_topics(self, topics: Sequence[str], timeout_s: float) -> list[str]:
        self._broker.require()
        return [topic for topic in topics if topic not in self._broker.partitions]
