"""The batch lane: exactly once, results and offsets in one Kafka transaction."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from manyheads.infra.kafka.records import Record, TopicPartition
from manyheads.infra.kafka.transport import Delivery, TransactionLostError, Transactions, Transport
from manyheads.infra.stage.lane import StageLane, Surroundings
from manyheads.infra.stage.options import LaneInput
from manyheads.infra.stage.tickets import Publication

_WAIT_S = 0.5
"""how long one call waits for the broker where nothing else can be done meanwhile"""


@dataclass(slots=True)
class _Collected:
    """The records of a transaction, and what is to be published for them."""

    since: float = 0.0
    """when the first record was taken"""
    records: int = 0
    starts: dict[TopicPartition, int] = field(default_factory=dict)
    """each partition's first offset"""
    publications: list[Publication] = field(default_factory=list)
    """held back until the transaction has begun"""

    def add(self, records: Sequence[Record], now: float) -> None:
        if self.records == 0:
            self.since = now
        self.records += len(records)
        for record in records:
            at = TopicPartition(record.topic, record.partition)
            # A topic that was made anew starts lower.
            self.starts[at] = min(record.offset, self.starts.get(at, record.offset))


class BatchLane(StageLane):
    """Collects the results of several turns in a transaction; one that fails is taken again.

    While Kafka ends one transaction, records of the next are computed already. What is to be published for them is held
    back until it has begun.
    """

    _publisher: Transactions

    def __init__(self, lane_input: LaneInput, around: Surroundings) -> None:
        self._begun = False
        self._busy = False
        """whether there were records when it last looked"""
        self._sealed = False
        """whether the transaction is to end: no more records belong to it"""
        self._open = _Collected()
        self._next = _Collected()
        """taken and computed already, while the open transaction ends"""
        self._is_next = False
        """whether what is being processed is for the next transaction"""
        self._ending: dict[TopicPartition, int] | None = None
        """the offsets of the transaction while its commit is under way"""
        self._rewind_to: dict[TopicPartition, int] = {}
        """partitions to take again, each with where to begin should nothing be committed"""
        super().__init__(lane_input, around)

    def _open_publisher(self, transport: Transport) -> Transactions:
        return transport.transactions(f"{self.input.group}.{self._options.instance}")

    @property
    def awaits_transaction(self) -> bool:
        return self._ending is not None or not self._begun

    def turn(self, limit: int, timeout_s: float) -> int:
        taken = super().turn(limit, timeout_s)
        self._busy = taken > 0 or limit == 0
        return taken

    def _may_take(self) -> bool:
        # Interactive records would wait with us.
        self._begin(0)
        if self._begun and self._rewind_to and self._consumer.rewind(self._rewind_to, _WAIT_S):
            self._rewind_to.clear()
        return not self._rewind_to and self._next.records < self._options.transaction_records

    def _process(self, records: Sequence[Record]) -> None:
        if self._rewind_to:
            # A rebalance within take() gave up the transaction that these were meant for.
            for record in records:
                self._rewind_to.setdefault(TopicPartition(record.topic, record.partition), record.offset)
            return
        self._seal_when_due()
        self._is_next = self._sealed or not self._begun
        (self._next if self._is_next else self._open).add(records, self._clock.monotonic())
        super()._process(records)

    def _put(self, publications: Sequence[Publication]) -> None:
        if self._is_next:
            self._next.publications += publications
        else:
            self._publish(publications)

    def _learn(self, deliveries: Iterable[Delivery]) -> None:
        now = self._clock.monotonic()
        broken: Delivery | None = None
        for delivery in deliveries:
            publication = cast("Publication", delivery.token)
            if delivery.failure is None:
                self._core.acknowledged(publication, now)
                self._observe(delivery)
            else:
                # That of an earlier transaction is of no interest any more.
                broken = delivery if self._core.remember(publication, delivery.failure, now) else broken
        if broken is not None:
            self._redo(f"a publication failed: {broken.failure}")

    def _seal_when_due(self) -> None:
        age = self._clock.monotonic() - self._open.since
        patience = self._options.transaction_interval_s
        if self.beside_live:
            patience = max(patience, self._options.live_transaction_interval_s)
        if not self._busy:
            patience = min(patience, self._options.idle_transaction_interval_s)
        if self._open.records >= self._options.transaction_records or (self._open.records and age >= patience):
            self._sealed = True

    @property
    def _uncommitted(self) -> int:
        """Records of the open transaction and of the next one."""
        return self._open.records + self._next.records

    @property
    def _unfinished(self) -> int:
        """Records of the open transaction that are not finished."""
        return self._core.unfinished_before(self._next.starts)

    def _commit_when_due(self) -> None:
        self._seal_when_due()
        if self._sealed and not self._unfinished:
            self._end(0)

    def _settle(self, timeout_s: float) -> None:
        deadline = self._clock.monotonic() + timeout_s
        while self._uncommitted and self._clock.monotonic() < deadline:
            self._begin(_WAIT_S)
            self._learn(self._publisher.deliveries(_WAIT_S if self._unfinished else 0))
            self._core.release_all()
            if self._open.records and not self._unfinished:
                self._end(_WAIT_S)
        if self._uncommitted:
            self._redo("it could not be committed in time")

    def _give_up(self) -> None:
        if self._uncommitted:
            self._redo("the worker stops")

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        if self._uncommitted:
            self._redo("its partitions were lost")
        super().lost(partitions)

    def _forget(self, partitions: Sequence[TopicPartition], what: str) -> None:
        super()._forget(partitions, what)
        for partition in partitions:
            self._rewind_to.pop(partition, None)

    def _begin(self, timeout_s: float) -> None:
        """Open a transaction if there is none, and publish what was held back for it."""
        if self._begun or not self._publisher.begin(timeout_s):
            return
        self._begun = True
        self._open, self._next = self._next, _Collected()
        held, self._open.publications = self._open.publications, []
        self._publish(held)

    def _end(self, timeout_s: float) -> None:
        if self._ending is None:
            self._ending = self._core.to_commit()
        try:
            if not self._publisher.end(self._ending, self._consumer.membership(), timeout_s):
                return
        except TransactionLostError as error:
            self._redo(str(error))
            return
        self._core.commit_requested(self._ending)
        self._count_finished()
        self._close_transaction()

    def _redo(self, reason: str) -> None:
        self._say("transaction_given_up", level=logging.WARNING, records=self._uncommitted, reason=reason)
        self._publisher.give_up()
        self._rewind_to = self._core.rewind() | self._rewind_to  # where it is to begin already is earlier
        self._forget_counts()
        self._next = _Collected()
        self._close_transaction()

    def _close_transaction(self) -> None:
        self._begun = self._sealed = False
        self._open = _Collected()
        self._ending = None
