"""What the stage loop needs of Kafka. Implemented by ``confluent`` for real and by ``memory`` for tests.

All objects here belong to one thread: no method may be called from two threads at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from manyheads.infra.kafka.records import Offsets, Outgoing, Record, TopicPartition


class PublishFailure(StrEnum):
    """Why a record was not written."""

    TOO_LARGE = "too_large"
    """over a size limit; it will never be taken as it is"""
    REFUSED = "refused"
    """no such topic or partition, no permission, or not valid there; the same record may be taken later"""
    LOST = "lost"
    """unknown whether it was written, because the producer broke; publish it again"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one published record."""

    token: object
    """whatever :meth:`Publisher.publish` was given with it"""
    failure: PublishFailure | None
    """None: the broker acknowledged it"""
    seconds: float
    """from publishing until this was known"""


class RebalanceListener(Protocol):
    """Told about partitions, always from within :meth:`Consumer.take` or :meth:`Consumer.close`."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """These are now ours, and paused: nothing of them is taken before :meth:`Consumer.resume`."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These go to another member once this returns; the last moment to commit for them."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These are another member's already; nothing may be committed for them."""


class Consumer(Protocol):
    """A member of a consumer group, subscribed to one topic. Reads committed records only."""

    def take(self, limit: int, timeout_s: float) -> list[Record]:
        """At most ``limit`` records: what is queued, without waiting for more.

        Waits up to ``timeout_s`` only while nothing at all is queued. Calls the listener. Must be called at least
        every few minutes, else the group gives the partitions to others.

        Raises:
            BrokerError: the group or the topic is refused for good, such as for lack of permission.
        """

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Start taking from assigned partitions. Those that are no longer assigned are passed over."""

    def rewind(self, start: Offsets, timeout_s: float) -> bool:
        """Take again from the committed offset on, or from ``start`` where nothing was ever committed.

        Returns False if the broker did not answer in time: nothing was rewound, call again.
        """

    def commit(self, offsets: Offsets) -> None:
        """Commit without waiting; :meth:`refused_commits` tells what did not come to be."""

    def commit_now(self, offsets: Offsets, timeout_s: float) -> None:
        """Commit and wait for the broker. Raises BrokerError(broker_unreachable) if it did not happen in time."""

    def refused_commits(self) -> Sequence[TopicPartition]:
        """Partitions whose commit failed since the last call; their offsets must be committed again."""

    def membership(self) -> object:
        """Who we are in the group at this moment, for :meth:`Transactions.end`; opaque."""

    def partition_count(self) -> int:
        """How many partitions the topic has. Raises BrokerError: broker_unreachable or topics_missing."""

    def close(self, timeout_s: float) -> None:
        """Leave the group. The listener is told first that its partitions are revoked, perhaps from another thread.

        Gives up after ``timeout_s``: the group then finds out by itself that this member is gone.
        """


class Publisher(Protocol):
    """Writes records; tells what became of each. Never drops one without telling."""

    def publish(self, outgoing: Outgoing, token: object) -> PublishFailure | None:
        """Queue one record; its :class:`Delivery` comes later. Waits while the local queue is full.

        Returns a failure that is known at once, such as a topic that does not exist; then no delivery follows.
        """

    @property
    def full(self) -> bool:
        """Whether so much waits for the broker that nothing more should be computed meanwhile."""

    def deliveries(self, timeout_s: float) -> list[Delivery]:
        """What became known since the last call; waits up to ``timeout_s`` while there is nothing.

        Raises:
            BrokerError: the broker refuses this producer for good.
        """

    def close(self, timeout_s: float) -> None:
        """Give up what is not yet written and let go of the connection. An open transaction is aborted."""


class TransactionLostError(Exception):
    """The open transaction came to nothing: take everything in it again, from the committed offsets."""


class Transactions(Publisher, Protocol):
    """A publisher whose records, and the offsets they came from, become visible together or not at all."""

    def begin(self, timeout_s: float) -> bool:
        """Open a transaction. First clears away one that was given up. False if the broker is not there: call again.

        Raises:
            BrokerError: the broker refuses this producer for good.
        """

    def end(self, offsets: Offsets, membership: object, timeout_s: float) -> bool:
        """Commit what was published since :meth:`begin`, and ``offsets`` for the group of ``membership``.

        To be called once everything that was published is acknowledged. Returns False when it is not decided in
        time; call again with the same offsets.

        Raises:
            TransactionLostError: nothing of it is visible; it was given up.
        """

    def give_up(self) -> None:
        """Abort the open transaction, in :meth:`begin` or :meth:`close` at the latest."""


class Transport(Protocol):
    """Makes the three for one Kafka cluster."""

    def consumer(self, group: str, topic: str, listener: RebalanceListener, *, prefetch_bytes: int) -> Consumer:
        """A member of ``group``; holds at most about ``prefetch_bytes`` of records that are not yet taken."""

    def publisher(self) -> Publisher:
        """An idempotent publisher: retries neither duplicate nor reorder."""

    def transactions(self, transactional_id: str) -> Transactions:
        """A transactional publisher. Of several with one id, the newest shuts out the others."""

    def missing_topics(self, topics: Sequence[str], timeout_s: float) -> list[str]:
        """Those of ``topics`` that do not exist. Raises BrokerError(broker_unreachable)."""
