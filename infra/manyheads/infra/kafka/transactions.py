"""Kafka transactions through librdkafka, as steps that can be tried again."""

from collections.abc import Callable
from enum import Enum, auto

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from manyheads.infra.kafka.config import Config
from manyheads.infra.kafka.errors import broker_error, is_for_good, kafka_error
from manyheads.infra.kafka.publisher import ConfluentPublisher
from manyheads.infra.kafka.records import Offsets
from manyheads.infra.kafka.transport import TransactionLostError


class _State(Enum):
    NEW = auto()
    """unknown to the transaction coordinator, who at our first call ends what a predecessor left open"""
    READY = auto()
    OPEN = auto()
    COMMITTING = auto()
    """asked to commit; the answer is not known yet"""
    TO_ABORT = auto()


class ConfluentTransactions(ConfluentPublisher):
    """A transactional producer. One that broke, or was shut out by a newer one of its id, is replaced."""

    def __init__(self, config: Config) -> None:
        self._state = _State.NEW
        super().__init__(config)

    def begin(self, timeout_s: float) -> bool:
        if self._fatal is not None:
            self._rebuild(self._fatal)
        try:
            if not self._clear_away(timeout_s):
                return False
        except TransactionLostError:
            return False  # what is to be cleared away next is in the state
        self._producer.begin_transaction()
        self._state = _State.OPEN
        return True

    def end(self, offsets: Offsets, membership: object, timeout_s: float) -> bool:
        if self._state not in (_State.OPEN, _State.COMMITTING):
            raise TransactionLostError("its producer was replaced")
        if self._state is _State.OPEN:
            positions = [confluent_kafka.TopicPartition(*at, offset) for at, offset in offsets.items()]
            if not self._try(lambda: self._producer.send_offsets_to_transaction(positions, membership, timeout_s)):
                return False
            self._state = _State.COMMITTING
        if not self._try(lambda: self._producer.commit_transaction(timeout_s)):
            return False
        self._state = _State.READY
        return True

    def give_up(self) -> None:
        if self._state is _State.OPEN:
            self._state = _State.TO_ABORT

    def close(self, timeout_s: float) -> None:
        self.give_up()
        try:
            if self._fatal is None and self._state is not _State.NEW:
                self._clear_away(timeout_s)
        except TransactionLostError:
            pass  # the broker aborts it when its time is over
        super().close(timeout_s)

    def _clear_away(self, timeout_s: float) -> bool:
        """Get to READY, whatever came before."""
        if self._state is _State.COMMITTING and self._try(lambda: self._producer.commit_transaction(timeout_s)):
            self._state = _State.READY
        if self._state is _State.TO_ABORT and self._try(lambda: self._producer.abort_transaction(timeout_s)):
            self._state = _State.READY
        if self._state is _State.NEW and self._try(lambda: self._producer.init_transactions(timeout_s)):
            self._state = _State.READY
        return self._state is _State.READY

    def _try(self, call: Callable[[], None]) -> bool:
        """Whether it is done; False to call it again."""
        try:
            call()
        except KafkaException as raised:
            error = kafka_error(raised)
            if error.txn_requires_abort():
                self._state = _State.TO_ABORT
            elif error.retriable():
                return False
            elif is_for_good(error):
                raise broker_error("Kafka refuses this worker's transactions", error) from raised
            else:
                self._fatal = error
            raise TransactionLostError(error.str()) from raised
        return True

    def _rebuild(self, reason: KafkaError) -> None:
        super()._rebuild(reason)
        self._state = _State.NEW
