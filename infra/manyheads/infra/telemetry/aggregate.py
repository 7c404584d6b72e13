"""Workers' reports, added up: per lane and per tenant, in buckets of time. No I/O and no clock.

A report belongs to the bucket that the middle of its interval lies in. All times are milliseconds: moments since the
epoch, as the workers' clocks have them, and durations. Rates are per second.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from manyheads.infra.telemetry.sums import LaneSums, TenantSums
from manyheads.topics.names import Lane
from manyheads.topics.sketch import Sketch
from manyheads.topics.telemetry import WorkerReport, WorkerState, errors_in

LANE_BUCKET_MS = 10_000
TENANT_BUCKET_MS = 30_000
LOST_AFTER_MS = 10_000
"""Without a report for so long a worker is lost: it was killed, or cannot reach Kafka."""
_MOST_TENANTS = 50_000
"""in one bucket; beyond it new ones are left out, so that made-up names cannot fill the memory"""


@dataclass(frozen=True, slots=True, order=True)
class LaneKey:
    """One lane of one stage: all workers that share a consumer group."""

    ring: str
    stage: str
    """``encoder`` or ``head``"""
    cell: str | None
    """None for the encoder stage"""
    lane: Lane


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles of durations in milliseconds, within 1%; None where nothing was measured."""

    count: int
    p50: float | None
    p90: float | None
    p99: float | None

    @classmethod
    def of(cls, sketch: Sketch) -> "Latency":
        """The quantiles of a sketch."""
        p50, p90, p99 = sketch.quantiles(0.5, 0.9, 0.99)
        return cls(sketch.count, p50, p90, p99)


@dataclass(frozen=True, slots=True)
class LaneFigures:
    """What one or several lanes did in a stretch of time."""

    at_ms: int
    """when the stretch began"""
    seconds: float
    records: int
    """finished"""
    rate: float
    errors: int
    outcomes: dict[str, int]
    """records by ``ok`` or error code"""
    dead_letters: dict[str, int]
    batches: int
    """computes"""
    tokens: int
    """that the encoder read"""
    queue: Latency
    """from a record's timestamp to its compute"""
    compute: Latency
    """of one batch"""
    publish: Latency
    """from publishing to the broker's acknowledgement"""
    total: Latency
    """from the request's own timestamp until the stage was done with it: at the head stage, the whole way"""

    @classmethod
    def of(cls, sums: LaneSums, at_ms: int, seconds: float) -> "LaneFigures":
        """What was added up over a stretch that began at ``at_ms``."""
        records = sums.outcomes.total()
        return cls(
            at_ms=at_ms,
            seconds=seconds,
            records=records,
            rate=records / seconds,
            errors=errors_in(sums.outcomes),
            outcomes=dict(sums.outcomes),
            dead_letters=dict(sums.dead_letters),
            batches=sums.batches,
            tokens=sums.tokens,
            queue=Latency.of(sums.queue),
            compute=Latency.of(sums.compute),
            publish=Latency.of(sums.publish),
            total=Latency.of(sums.total),
        )


@dataclass(frozen=True, slots=True)
class TenantFigures:
    """A tenant's requests in a stretch of time, each counted once: where it was answered."""

    ring: str
    tenant: str
    at_ms: int
    seconds: float
    requests: int
    rate: float
    errors: int
    """of the requests, those that were answered with an error"""
    error_share: float
    """0 to 1"""
    latency: Latency
    """from the request's own timestamp to its answer"""

    @classmethod
    def of(cls, key: tuple[str, ...], sums: TenantSums, at_ms: int, seconds: float) -> "TenantFigures":
        """What was added up over a stretch that began at ``at_ms``, for the ring and the tenant that ``key`` has."""
        return cls(
            ring=key[0],
            tenant=key[1],
            at_ms=at_ms,
            seconds=seconds,
            requests=sums.requests,
            rate=sums.requests / seconds,
            errors=sums.errors,
            error_share=sums.errors / sums.requests if sums.requests else 0.0,
            latency=Latency.of(sums.total),
        )


class TenantOrder(StrEnum):
    """What the top tenants are the top by."""

    REQUESTS = "requests"
    ERRORS = "errors"
    LATENCY = "latency"
    """the 99th percentile"""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker as its last report has it."""

    report: WorkerReport
    age_ms: int
    """of that report"""
    lost: bool
    """it has not said that it stops, and is silent"""


_TenantKey = tuple[str, str, Lane]
_WorkerKey = tuple[str, str, str | None, str]


class Aggregate:
    """The reports of the last ``keep_ms``. Not thread-safe."""

    def __init__(self, keep_ms: int = 900_000) -> None:
        self._keep_ms = keep_ms
        self._lanes: dict[int, dict[LaneKey, LaneSums]] = {}
        self._tenants: dict[int, dict[_TenantKey, TenantSums]] = {}
        # Both lanes over all buckets: adding up ten thousand tenants whenever they are asked for would take seconds.
        self._whole: dict[_TenantKey, TenantSums] = {}
        self._workers: dict[_WorkerKey, WorkerReport] = {}

    def add(self, report: WorkerReport) -> None:
        """Count a report in. Each may be added once."""
        who = report.worker
        key = (who.stage, who.ring, who.cell, who.instance)
        known = self._workers.get(key)
        if known is None or known.at_ms <= report.at_ms:
            self._workers[key] = report
        middle = report.at_ms - report.interval_ms // 2
        lanes = self._lanes.setdefault(middle - middle % LANE_BUCKET_MS, {})
        tenants = self._tenants.setdefault(middle - middle % TENANT_BUCKET_MS, {})
        for lane in report.lanes:
            lanes.setdefault(LaneKey(who.ring, who.stage, who.cell, lane.lane), LaneSums()).add(lane)
            for name, counts in lane.tenants.items():
                of = (who.ring, name, lane.lane)
                if of in tenants or len(tenants) < _MOST_TENANTS:
                    whole = self._whole.setdefault(_both_lanes(of), TenantSums())
                    for sums in (tenants.setdefault(of, TenantSums()), whole):
                        sums.add(counts.requests, counts.errors, counts.total)

    def forget(self, now_ms: int) -> None:
        """Let go of what is older than this keeps."""
        oldest = now_ms - self._keep_ms
        self._lanes = {at: sums for at, sums in self._lanes.items() if at + LANE_BUCKET_MS > oldest}
        for at in [at for at in self._tenants if at + TENANT_BUCKET_MS <= oldest]:
            for key, sums in self._tenants.pop(at).items():
                whole = self._whole[_both_lanes(key)]
                whole.take_away(sums)
                if not whole.requests:
                    del self._whole[_both_lanes(key)]
        self._workers = {key: report for key, report in self._workers.items() if report.at_ms > oldest}

    def workers(self, now_ms: int) -> tuple[WorkerStatus, ...]:
        """Every worker that reported, by stage, ring, cell and name."""
        ordered = sorted(self._workers.items(), key=lambda item: tuple(part or "" for part in item[0]))
        return tuple(_status(report, now_ms) for _, report in ordered)

    def lanes(self, now_ms: int, window_ms: int = 60_000) -> dict[LaneKey, LaneFigures]:
        """What each lane did in the window, which begins with a bucket."""
        since, seconds = _window(now_ms, window_ms, LANE_BUCKET_MS)
        sums: dict[LaneKey, LaneSums] = {}
        for at, lanes in self._lanes.items():
            if since <= at <= now_ms:
                for key, each in lanes.items():
                    sums.setdefault(key, LaneSums()).add(each)
        return {key: LaneFigures.of(sums[key], since, seconds) for key in sorted(sums, key=_lane_order)}

    def series(
        self,
        now_ms: int,
        window_ms: int = 900_000,
        *,
        ring: str | None = None,
        stage: str | None = None,
        cell: str | None = None,
        lane: Lane | None = None,
    ) -> tuple[LaneFigures, ...]:
        """The lanes that match, added up, one entry a bucket: whole buckets alone, those without a record too."""
        since, _ = _window(now_ms, window_ms, LANE_BUCKET_MS)
        points = []
        for at in range(since, now_ms - LANE_BUCKET_MS + 1, LANE_BUCKET_MS):
            sums = LaneSums()
            for key, each in self._lanes.get(at, {}).items():
                if _matches(key, ring, stage, cell, lane):
                    sums.add(each)
            points.append(LaneFigures.of(sums, at, LANE_BUCKET_MS / 1000))
        return tuple(points)

    def tenants(
        self,
        now_ms: int,
        window_ms: int = 900_000,
        *,
        ring: str | None = None,
        lane: Lane | None = None,
        search: str = "",
        by: TenantOrder = TenantOrder.REQUESTS,
        limit: int | None = 50,
    ) -> tuple[TenantFigures, ...]:
        """The top tenants of the window: those whose name contains ``search``, the most first.

        Args:
            now_ms: the present.
            window_ms: how far back; it begins with a bucket, at most 30 s earlier.
            ring: of this ring alone.
            lane: in this lane alone; None adds both.
            search: a part of the name.
            by: by what. Tenants without an error, or without a latency, do not show where that is asked for.
            limit: how many at most.
        """
        since, seconds = _window(now_ms, window_ms, TENANT_BUCKET_MS)
        if window_ms >= self._keep_ms:
            self.forget(now_ms)
        if lane is None and all(since <= at <= now_ms for at in self._tenants):
            sums = self._whole
        else:
            sums = self._tenant_sums(since, now_ms, lane)
        sums = {key: each for key, each in sums.items() if ring in (None, key[0]) and search in key[1]}
        ranked = sorted(((_rank(each, by), key) for key, each in sums.items()), key=lambda item: (-item[0], item[1]))
        shown = [key for rank, key in ranked if rank > 0][:limit]
        return tuple(TenantFigures.of(key, sums[key], since, seconds) for key in shown)

    def _tenant_sums(self, since: int, until: int, lane: Lane | None) -> dict[_TenantKey, TenantSums]:
        sums: dict[_TenantKey, TenantSums] = {}
        for at, tenants in self._tenants.items():
            if since <= at <= until:
                for key, each in tenants.items():
                    if lane in (None, key[2]):
                        row = sums.setdefault(_both_lanes(key), TenantSums())
                        row.add(each.requests, each.errors, each.total)
        return sums

    def tenant_series(
        self, ring: str, tenant: str, now_ms: int, window_ms: int = 900_000, lane: Lane | None = None
    ) -> tuple[TenantFigures, ...]:
        """One tenant, one entry a bucket: whole buckets alone, those without a request too."""
        since, _ = _window(now_ms, window_ms, TENANT_BUCKET_MS)
        points = []
        for at in range(since, now_ms - TENANT_BUCKET_MS + 1, TENANT_BUCKET_MS):
            sums = TenantSums()
            for each in Lane if lane is None else (lane,):
                found = self._tenants.get(at, {}).get((ring, tenant, each))
                if found is not None:
                    sums.add(found.requests, found.errors, found.total)
            points.append(TenantFigures.of((ring, tenant), sums, at, TENANT_BUCKET_MS / 1000))
        return tuple(points)

    def tenant_requests(self, ring: str, tenant: str, now_ms: int, window_ms: int = 900_000) -> tuple[int, ...]:
        """One tenant's requests in both lanes, an entry a bucket, as :meth:`tenant_series` has them."""
        since, _ = _window(now_ms, window_ms, TENANT_BUCKET_MS)
        buckets = (self._tenants.get(at, {}) for at in range(since, now_ms - TENANT_BUCKET_MS + 1, TENANT_BUCKET_MS))
        keys = [(ring, tenant, each) for each in Lane]
        return tuple(sum(bucket[key].requests for key in keys if key in bucket) for bucket in buckets)


def aggregate(reports: Iterable[WorkerReport], keep_ms: int = 900_000) -> Aggregate:
    """All of these reports, added up."""
    total = Aggregate(keep_ms)
    for report in reports:
        total.add(report)
    return total


def _status(report: WorkerReport, now_ms: int) -> WorkerStatus:
    age_ms = max(0, now_ms - report.at_ms)
    return WorkerStatus(report, age_ms, report.state is not WorkerState.STOPPED and age_ms > LOST_AFTER_MS)


def _window(now_ms: int, window_ms: int, bucket_ms: int) -> tuple[int, float]:
    """When the bucket begins in which the window does, and the seconds from there until now."""
    since = (now_ms - window_ms) // bucket_ms * bucket_ms
    return since, max(1, now_ms - since) / 1000


def _matches(key: LaneKey, ring: str | None, stage: str | None, cell: str | None, lane: Lane | None) -> bool:
    return (
        ring in (None, key.ring)
        and stage in (None, key.stage)
        and cell in (None, key.cell)
        and lane in (None, key.lane)
    )


def _both_lanes(key: _TenantKey) -> _TenantKey:
    """The key of a tenant's row, which is of both lanes."""
    return key[0], key[1], Lane.INTERACTIVE


def _lane_order(key: LaneKey) -> tuple[str, ...]:
    return key.ring, key.stage, key.cell or "", key.lane


def _rank(sums: TenantSums, by: TenantOrder) -> float:
    match by:
        case TenantOrder.REQUESTS:
            return sums.requests
        case TenantOrder.ERRORS:
            return sums.errors
        case TenantOrder.LATENCY:
            return sums.total.quantile(0.99) or 0.0
