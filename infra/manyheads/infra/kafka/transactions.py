"""Kafka transactions through librdkafka, as steps that can be tried again."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from manyheads.infra.kafka.background import BackgroundCall
from manyheads.infra.kafka.config import Config
from manyheads.infra.kafka.errors import broker_error, is_for_good, kafka_error, log
from manyheads.infra.kafka.publisher import ConfluentPublisher
from manyheads.infra.kafka.records import Offsets
from manyheads.infra.kafka.transport import TransactionLostError
from manyheads.infra.telemetry import event

_CALL_S = 5.0
"""how long librdkafka is to try"""
_STUCK_S = 10.0
"""after which a call is held to be stuck"""


class _State(Enum):
    NEW = auto()
    """unknown to the transaction coordinator, who at our first call ends what a predecessor left open"""
    READY = auto()
    OPEN = auto()
    COMMITTING = auto()
    """asked to commit; the answer is not known yet"""
    TO_ABORT = auto()


class _Step(Enum):
    INIT = auto()
    SEND_OFFSETS = auto()
    COMMIT = auto()
    ABORT = auto()


class ConfluentTransactions(ConfluentPublisher):
    """A transactional producer. One that broke, is stuck, or was shut out by a newer one of its id, is replaced.

    librdkafka's calls run in the background, one at a time, so that none of them holds up the caller's thread.
    """

    def __init__(self, config: Config, admin: Callable[[], AdminClient]) -> None:
        self._state = _State.NEW
        self._under_way: tuple[_Step, BackgroundCall[None]] | None = None
        super().__init__(config, admin)

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
        producer = self._producer
        if self._state not in (_State.OPEN, _State.COMMITTING):
            raise TransactionLostError("its producer was replaced")
        if self._state is _State.OPEN:
            positions = [confluent_kafka.TopicPartition(*at, offset) for at, offset in offsets.items()]
            if not self._try(
                _Step.SEND_OFFSETS,
                lambda: producer.send_offsets_to_transaction(positions, membership, _CALL_S),
                timeout_s,
            ):
                return False
            self._state = _State.COMMITTING
        if not self._try(_Step.COMMIT, lambda: producer.commit_transaction(_CALL_S), timeout_s):
            return False
        self._state = _State.READY
        return True

    def give_up(self) -> None:
        if self._state is _State.OPEN:
            self._state = _State.TO_ABORT

    def close(self, timeout_s: float) -> None:
        self.give_up()
        until = time.monotonic() + timeout_s
        with suppress(TransactionLostError):  # else the broker aborts it when its time is over
            while self._fatal is None and self._state is not _State.NEW and (left := until - time.monotonic()) > 0:
                if self._clear_away(left):
                    break
        super().close(timeout_s)

    def _clear_away(self, timeout_s: float) -> bool:
        """Get to READY, whatever came before."""
        producer = self._producer
        steps = {
            _State.COMMITTING: (_Step.COMMIT, lambda: producer.commit_transaction(_CALL_S)),
            _State.TO_ABORT: (_Step.ABORT, lambda: producer.abort_transaction(_CALL_S)),
            _State.NEW: (_Step.INIT, lambda: producer.init_transactions(_CALL_S)),
        }
        if self._state in steps and self._try(*steps[self._state], timeout_s):
            self._state = _State.READY
        return self._state is _State.READY

    def _try(self, step: _Step, call: Callable[[], None], timeout_s: float) -> bool:
        """Whether the step is done; False to try again.

        Raises:
            TransactionLostError: it failed; what to do next is in the state.
        """
        if self._under_way is None:
            self._under_way = step, BackgroundCall(call)
        what, under_way = self._under_way
        if not under_way.wait(timeout_s):
            if under_way.age_s > _STUCK_S:
                self._leave_stuck(what)
            return False
        self._under_way = None
        try:
            under_way.result()
        except KafkaException as raised:
            return self._failed(kafka_error(raised))
        # A step that was given up in the middle only had to end.
        return what is step

    def _failed(self, error: KafkaError) -> bool:
        if error.txn_requires_abort():
            self._state = _State.TO_ABORT
        elif error.retriable():
            return False
        elif is_for_good(error):
            raise broker_error("Kafka refuses this worker's transactions", error)
        else:
            self._fatal = error
        raise TransactionLostError(error.str())

    def _leave_stuck(self, step: _Step) -> None:
        event(log, "transaction_stuck", level=logging.WARNING, step=step.name.lower(), seconds=_STUCK_S)
        self._replace_producer()
        raise TransactionLostError(f"librdkafka did not return from {step.name.lower()} within {_STUCK_S:.0f} s")

    def _replace_producer(self) -> None:
        super()._replace_producer()
        self._under_way = None
        self._state = _State.NEW
