"""What a worker's lanes did: counted for metrics, and kept for the worker's next report."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from manyheads.infra.stage.options import LaneInput
from manyheads.infra.stage.tickets import Finished, Taken
from manyheads.infra.telemetry import NO_METRICS, Health, Metrics
from manyheads.infra.telemetry.sums import LaneSums, TenantSums
from manyheads.topics.errors import ErrorCode
from manyheads.topics.metrics import (
    BATCH_RECORDS,
    COMPUTE_SECONDS,
    DEAD_LETTERS,
    IN_FLIGHT,
    LANES_HALTED,
    PUBLISH_SECONDS,
    QUEUE_SECONDS,
    RECORDS,
    REQUEST_SECONDS,
)
from manyheads.topics.telemetry import (
    MAX_REASON_CHARACTERS,
    MAX_REPORTED_TENANTS,
    MAX_TENANT_SKETCHES,
    OK,
    HeadsReport,
    LaneReport,
    TenantCounts,
    WorkerState,
)

if TYPE_CHECKING:
    from manyheads.infra.registry.follower import RegistryFollower
    from manyheads.infra.stage.tracing import LaneTracing, StageTracing

_NOBODYS = frozenset({ErrorCode.UNKNOWN_TENANT, ErrorCode.UNKNOWN_RING})
"""outcomes of requests for tenants that there are none of"""


@dataclass(slots=True)
class _Interval:
    """What happened since the last report."""

    lane: LaneSums = field(default_factory=LaneSums)
    tenants: dict[str, TenantSums] = field(default_factory=dict)

    def count_tenant(self, record: Finished, total_ms: float | None) -> None:
        assert record.tenant is not None
        tenant = self.tenants.get(record.tenant)
        if tenant is None:
            if len(self.tenants) >= MAX_REPORTED_TENANTS:
                return
            tenant = self.tenants[record.tenant] = TenantSums()
        tenant.requests += 1
        tenant.errors += record.outcome != OK
        if total_ms is not None:
            tenant.total.add(total_ms)


class LaneObserver:
    """One input's. Fed by the stage's thread; :meth:`report` may be called from another.

    All inputs of a lane share its metrics.
    """

    def __init__(
        self, stage: str, lane_input: LaneInput, metrics: Metrics, tracing: "LaneTracing | None" = None
    ) -> None:
        self._input = lane_input
        self._tracing = tracing
        self._labels = {"stage": stage, "ring": lane_input.ring, "lane": lane_input.lane.value}
        self._metrics = metrics
        self._observe_queue = metrics.observing(QUEUE_SECONDS, self._labels)
        self._observe_compute = metrics.observing(COMPUTE_SECONDS, self._labels)
        self._observe_publish = metrics.observing(PUBLISH_SECONDS, self._labels)
        self._observe_request = metrics.observing(REQUEST_SECONDS, self._labels)
        self._observe_batch = metrics.observing(BATCH_RECORDS, self._labels)
        self._lock = Lock()
        self._interval = _Interval()
        self._partitions: tuple[int, ...] = ()
        self._preparing: tuple[int, ...] = ()
        self._in_flight = 0
        self._halted: str | None = None
        metrics.add(LANES_HALTED, self._labels, 0)

    def holds(self, partitions: Sequence[int], preparing: Sequence[int], in_flight: int) -> None:
        """What the lane has now."""
        self._metrics.add(IN_FLIGHT, self._labels, in_flight - self._in_flight)
        with self._lock:
            self._partitions, self._preparing = tuple(sorted(partitions)), tuple(sorted(preparing))
            self._in_flight = in_flight

    def takes(self, taken: Taken, now: float) -> None:
        """These were taken at ``now``, seconds of the loop's clock; a compute begins with their jobs, if there are any.

        What is published for them from now on carries their own trace on.
        """
        if self._tracing is not None:
            self._tracing.takes(taken, now)
        if not taken.jobs:
            return
        self._observe_batch(len(taken.jobs))
        for job in taken.jobs:
            self._observe_queue(job.queue_ms / 1000)
        with self._lock:
            for job in taken.jobs:
                self._interval.lane.queue.add(job.queue_ms)

    def computed(self, seconds: float, tokens: int) -> None:
        """The compute has taken so long, and read so many tokens."""
        if self._tracing is not None:
            self._tracing.computed(seconds, tokens)
        self._observe_compute(seconds)
        with self._lock:
            self._interval.lane.batches += 1
            self._interval.lane.tokens += tokens
            self._interval.lane.compute.add(seconds * 1000)

    def published(self, seconds: float) -> None:
        """The broker acknowledged a publication after so long."""
        self._observe_publish(seconds)
        with self._lock:
            self._interval.lane.publish.add(seconds * 1000)

    def finished(self, records: Iterable[Finished], dead_letters: Mapping[str, int], epoch_ms: float) -> None:
        """These need no more work; ``epoch_ms`` is what the loop's clock had at 0, since the epoch."""
        outcomes: Counter[str] = Counter()
        with self._lock:
            interval = self._interval
            for record in records:
                if record.span is not None:
                    record.span.end(record.outcome, record.at)
                outcomes[record.outcome] += 1
                total_ms = None
                if record.requested_ms is not None:
                    total_ms = max(0.0, epoch_ms + record.at * 1000 - record.requested_ms)
                    interval.lane.total.add(total_ms)
                    self._observe_request(total_ms / 1000)
                if record.answered and record.tenant is not None and record.outcome not in _NOBODYS:
                    interval.count_tenant(record, total_ms)
            interval.lane.outcomes.update(outcomes)
            interval.lane.dead_letters.update(dead_letters)
        for outcome, count in outcomes.items():
            self._metrics.inc(RECORDS, {**self._labels, "outcome": outcome}, count)
        for code, count in dead_letters.items():
            self._metrics.inc(DEAD_LETTERS, {**self._labels, "code": code}, count)

    def halted(self, reason: str) -> None:
        """The lane takes nothing more, while the worker goes on."""
        self._metrics.add(LANES_HALTED, self._labels, 1)
        self._halted = reason[:MAX_REASON_CHARACTERS]

    def report(self) -> LaneReport:
        """What happened since the last call."""
        with self._lock:
            interval, self._interval = self._interval, _Interval()
            partitions, preparing, in_flight = self._partitions, self._preparing, self._in_flight
        lane = interval.lane
        return LaneReport(
            lane=self._input.lane,
            topic=self._input.topic,
            partitions=partitions,
            preparing=preparing,
            in_flight=in_flight,
            halted=self._halted,
            outcomes=dict(lane.outcomes),
            dead_letters=dict(lane.dead_letters),
            batches=lane.batches,
            tokens=lane.tokens,
            queue=lane.queue,
            compute=lane.compute,
            publish=lane.publish,
            total=lane.total,
            tenants=_tenant_counts(interval.tenants),
        )


class StageObserver:
    """What a stage worker tells the outside: metrics, health, and what is in its reports.

    Attributes:
        metrics: where counts and times go.
        health: told at each turn of the loop, and whether all partitions are consumed from.
        state: how far the worker's life has come.
        heads: the heads in memory; a head worker sets it.
        models: versions of what the worker serves, by name; set once they are known.
        registry: the worker's view of the registry, once there is one.
    """

    def __init__(
        self, metrics: Metrics = NO_METRICS, health: Health | None = None, tracing: "StageTracing | None" = None
    ) -> None:
        self.metrics = metrics
        self._tracing = tracing
        self.health = health or Health()
        self.state = WorkerState.STARTING
        self.heads: HeadsReport | None = None
        self.models: dict[str, str] = {}
        self.registry: RegistryFollower | None = None
        self._lanes: tuple[LaneObserver, ...] = ()

    @property
    def waits_for(self) -> str:
        """Why the worker is not ready; empty if it is."""
        return self.health.waits_for

    @property
    def registry_behind(self) -> int | None:
        """Records of the registry that were not read yet; None where that is not known."""
        return None if self.registry is None else self.registry.behind

    def lane(self, stage: str, lane_input: LaneInput) -> LaneObserver:
        """The observer of one more lane."""
        tracing = None if self._tracing is None else self._tracing.lane(stage, lane_input)
        observer = LaneObserver(stage, lane_input, self.metrics, tracing)
        self._lanes = (*self._lanes, observer)
        return observer

    def report(self) -> tuple[LaneReport, ...]:
        """What all lanes did since the last call. From any one thread."""
        return tuple(lane.report() for lane in self._lanes)


def _tenant_counts(tenants: Mapping[str, TenantSums]) -> dict[str, TenantCounts]:
    busiest = sorted(tenants, key=lambda name: -tenants[name].requests)
    return {
        name: TenantCounts(
            requests=tenants[name].requests,
            errors=tenants[name].errors,
            total=tenants[name].total if rank < MAX_TENANT_SKETCHES else None,
        )
        for rank, name in enumerate(busiest)
    }
