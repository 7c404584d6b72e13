"""The interactive lane: at least once, offsets committed after the broker acknowledged the results."""

import logging
from collections.abc import Iterable
from typing import cast

from manyheads.infra.kafka.transport import Delivery, Publisher, Transport
from manyheads.infra.stage.lane import StageLane, Surroundings
from manyheads.infra.stage.options import LaneInput
from manyheads.infra.stage.tickets import Publication
from manyheads.topics.errors import BrokerError

_WAIT_S = 0.1


class InteractiveLane(StageLane):
    """Publishes with an idempotent producer; commits now and then, without waiting, and always before it lets go."""

    def __init__(self, lane_input: LaneInput, around: Surroundings) -> None:
        super().__init__(lane_input, around)
        self._last_commit = around.clock.monotonic()

    def _open_publisher(self, transport: Transport) -> Publisher:
        return transport.publisher()

    def _may_take(self) -> bool:
        return True

    def _learn(self, deliveries: Iterable[Delivery]) -> None:
        now = self._clock.monotonic()
        for delivery in deliveries:
            publication = cast("Publication", delivery.token)
            if delivery.failure is None:
                self._core.acknowledged(publication, now)
                self._observe(delivery)
            else:
                self._replace(publication, delivery.failure)

    def _commit_when_due(self) -> None:
        now = self._clock.monotonic()
        if now - self._last_commit < self._options.commit_interval_s:
            return
        self._last_commit = now
        self._core.commit_refused(self._consumer.refused_commits())
        offsets = self._core.to_commit()
        if offsets:
            self._consumer.commit(offsets)
            self._core.commit_requested(offsets)
        self._count_finished()

    def _settle(self, timeout_s: float) -> None:
        deadline = self._clock.monotonic() + timeout_s
        self._core.release_all()
        while self._core.unfinished and (remaining := deadline - self._clock.monotonic()) > 0:
            self._learn(self._publisher.deliveries(min(remaining, _WAIT_S)))
            self._core.release_all()
        self._commit_finished()

    def _give_up(self) -> None:
        self._commit_finished()

    def _commit_finished(self) -> None:
        self._core.commit_refused(self._core.partitions)  # what was requested may never have arrived
        offsets = self._core.to_commit()
        if offsets:
            try:
                self._consumer.commit_now(offsets, self._options.leave_timeout_s)
            except BrokerError as error:
                # Promised is at least once: what is not committed is processed again.
                self._say("commit_failed", level=logging.WARNING, error=error)
            self._core.commit_requested(offsets)
        self._count_finished()
