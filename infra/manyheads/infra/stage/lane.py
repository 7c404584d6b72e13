"""One lane of a worker: consume -> compute -> publish -> commit. The two ways to commit are its subclasses."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from manyheads.infra.kafka.records import Record, TopicPartition
from manyheads.infra.kafka.transport import Delivery, Publisher, PublishFailure, Transport
from manyheads.infra.stage.compute import outcomes
from manyheads.infra.stage.core import LaneCore
from manyheads.infra.stage.observer import StageObserver
from manyheads.infra.stage.options import Clock, LaneInput, StageOptions
from manyheads.infra.stage.tickets import Publication
from manyheads.infra.stage.work import Forward, Stage
from manyheads.infra.telemetry import event
from manyheads.topics.errors import ManyheadsError

_log = logging.getLogger(__name__)

_RETRY_INTERVAL_S = 1.0
_LAST_WEIGHT = 0.2
"""of the last compute, in the mean of what a record costs"""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every lane of a worker shares."""

    transport: Transport
    stage: Stage
    options: StageOptions
    observer: StageObserver
    clock: Clock


class StageLane(ABC):
    """Owns one consumer and one publisher. Driven by the worker, one step at a time, from one thread."""

    def __init__(self, lane_input: LaneInput, around: Surroundings) -> None:
        self.input = lane_input
        self._stage = around.stage
        self._options = around.options
        self._observer = around.observer.lane(around.stage.name, lane_input)
        self._clock = around.clock
        self._core = LaneCore(around.options.halting, around.options.dead_letter_patience_s)
        self._unprepared: set[TopicPartition] = set()
        self._opened = self._last_turn = around.clock.monotonic()
        self._last_retry = 0.0
        self._closing = False
        self.record_s = 0.0
        """seconds of compute that a record costs of late; 0 before the first"""
        self.beside_live = False
        """whether there is interactive traffic; the worker says so"""
        self._publisher = self._open_publisher(around.transport)
        self._consumer = around.transport.consumer(
            lane_input.group, lane_input.topic, self, prefetch_bytes=around.options.prefetch_bytes
        )

    # What the two ways to commit differ in

    @abstractmethod
    def _open_publisher(self, transport: Transport) -> Publisher: ...

    @abstractmethod
    def _may_take(self) -> bool:
        """Whether records may be taken now."""

    @abstractmethod
    def _learn(self, deliveries: Iterable[Delivery]) -> None:
        """These publications were acknowledged, or failed."""

    @abstractmethod
    def _commit_when_due(self) -> None:
        """Commit if it is time for it; never waits for long."""

    @abstractmethod
    def _settle(self, timeout_s: float) -> None:
        """Finish and commit, within the time, all that was taken; this lane's partitions are about to go."""

    @abstractmethod
    def _give_up(self) -> None:
        """Leave uncommitted whatever is not finished and committed yet."""

    # Turns

    @property
    def partitions(self) -> tuple[TopicPartition, ...]:
        """Those that are this lane's now."""
        return self._core.partitions

    @property
    def waits_for(self) -> str | None:
        """Why it does not consume from all its partitions; None if it does, so that it is ready.

        One that is given no partition for a while is a spare, and ready too.
        """
        if self._unprepared:
            numbers = ", ".join(str(number) for _, number in sorted(self._unprepared))
            return f"partitions {numbers} of {self.input.topic} are being prepared"
        if self._core.partitions or self._clock.monotonic() - self._opened >= self._options.spare_after_s:
            return None
        return f"partitions of {self.input.topic} are not assigned yet"

    @property
    def preparing(self) -> bool:
        """Whether partitions wait for the stage's :meth:`Stage.prepare`."""
        return bool(self._unprepared)

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether the broker has yet to say that it has what was published."""
        return self._core.unfinished > 0

    @property
    def awaits_transaction(self) -> bool:
        """Whether it waits for Kafka to begin or to end a transaction, and takes nothing meanwhile."""
        return False

    def prepared(self) -> None:
        """The stage is prepared: consume from all partitions."""
        if self._unprepared:
            self._consumer.resume(sorted(self._unprepared))
            self._unprepared.clear()
            self._tell_holdings()

    def turn(self, limit: int, timeout_s: float) -> int:
        """Take at most ``limit`` queued records and process them; how many there were.

        Waits up to ``timeout_s`` while there is none. A lane with a full flight, or a full publisher, takes nothing and
        waits for acknowledgements instead; one without a turn for too long gets a single record.

        Raises:
            ManyheadsError: the worker must stop: worker_halted, topics_missing or broker_unreachable.
        """
        now = self._clock.monotonic()
        room = min(limit, self._options.max_in_flight - self._core.unfinished)
        if room <= 0 and now - self._last_turn >= self._options.starvation_s:
            room = 1
        if room <= 0 or self._publisher.full or not self._may_take():
            self.hear(timeout_s)
            return 0
        self._last_turn = now
        records = self._consumer.take(room, timeout_s)
        if records:
            self._process(records)
        return len(records)

    def hear(self, timeout_s: float) -> None:
        """Learn what was acknowledged; waits up to ``timeout_s`` while there is nothing."""
        self._learn(self._publisher.deliveries(timeout_s))

    def tend(self) -> None:
        """Learn what was acknowledged, commit if it is time. Called between turns, also those of other lanes.

        Raises:
            ManyheadsError: as :meth:`turn`.
        """
        now = self._clock.monotonic()
        self.hear(0)
        self._core.release(now)
        if now - self._last_retry >= _RETRY_INTERVAL_S:
            self._last_retry = now
            self._publish(self._core.retries())
            self._tell_holdings()
        self._commit_when_due()

    def drain(self, timeout_s: float) -> None:
        """Finish and commit what was taken, then leave the group."""
        try:
            self._core.release_all()
            self._settle(timeout_s)
        finally:
            self.close()

    def halt(self, error: ManyheadsError) -> None:
        """Take nothing more and leave the group, and say so from now on."""
        self._observer.halted(error.message)
        self.close()

    def close(self) -> None:
        """Leave the group; whatever is not committed yet is another's to process again."""
        self._closing = True
        self._give_up()
        self._consumer.close(self._options.leave_timeout_s)
        self._publisher.close(self._options.leave_timeout_s)

    # Rebalances, called from within the consumer's take and close

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self._core.assign(partitions)
        self._unprepared.update(partitions)
        count = self._consumer.partition_count()
        self._stage.assigned(self.input.topic, [partition for _, partition in partitions], count)
        self._tell_holdings()
        self._say("partitions_assigned", partitions=sorted(number for _, number in partitions))

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        if not self._closing:  # then everything that could be is committed
            self._settle(self._options.revoke_timeout_s)
        self._forget(partitions, "partitions_revoked")

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self._forget(partitions, "partitions_lost")

    def _forget(self, partitions: Sequence[TopicPartition], what: str) -> None:
        self._core.forget(partitions)
        self._unprepared.difference_update(partitions)
        self._stage.revoked(self.input.topic, [partition for _, partition in partitions])
        self._tell_holdings()
        self._say(what, partitions=sorted(number for _, number in partitions))

    # Records

    def _tell_holdings(self) -> None:
        numbers = [partition for _, partition in self._core.partitions]
        self._observer.holds(numbers, [number for _, number in self._unprepared], self._core.unfinished)

    def _process(self, records: Sequence[Record]) -> None:
        taken = self._core.take(records, self._clock.wall_ms())
        start = self._clock.monotonic()
        self._observer.takes(taken, start)
        self._put(taken.publications)
        if not taken.jobs:
            return
        tokens = 0
        for index, outcome in outcomes(self._stage, taken.jobs):
            self._put(self._core.settle(taken.tickets[index], outcome))
            tokens += outcome.tokens if isinstance(outcome, Forward) else 0
        spent = self._clock.monotonic() - start
        self.record_s += (spent / len(taken.jobs) - self.record_s) * (_LAST_WEIGHT if self.record_s else 1.0)
        self._observer.computed(spent, tokens)

    def _put(self, publications: Sequence[Publication]) -> None:
        """What is to be published for records that were taken now."""
        self._publish(publications)

    def _publish(self, publications: Iterable[Publication]) -> None:
        for publication in publications:
            failure = self._publisher.publish(publication.outgoing, publication)
            if failure is not None:
                self._replace(publication, failure)

    def _replace(self, publication: Publication, failure: PublishFailure) -> None:
        purpose, topic = publication.purpose.name.lower(), publication.outgoing.topic
        self._say("publication_failed", level=logging.WARNING, purpose=purpose, to=topic, failure=failure.value)
        self._publish(self._core.failed(publication, failure, self._clock.monotonic()))

    def _count_finished(self) -> None:
        """Tell the observer of the records that are finished."""
        if self._core.finished:
            epoch_ms = self._clock.wall_ms() - self._clock.monotonic() * 1000
            self._observer.finished(self._core.finished, self._core.dead_letters, epoch_ms)
            self._forget_counts()

    def _forget_counts(self) -> None:
        self._core.finished.clear()
        self._core.dead_letters.clear()

    def _observe(self, delivery: Delivery) -> None:
        self._observer.published(delivery.seconds)

    def _say(self, name: str, *, level: int = logging.INFO, **fields: object) -> None:
        where = {"stage": self._stage.name, "topic": self.input.topic}
        event(_log, name, level=level, exc_info=False, **where, **fields)
