"""Reports added up: values, with times of the test's own."""

from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.telemetry.aggregate import Aggregate, LaneKey, TenantOrder, aggregate
from manyheads.topics.names import Lane, cell, ring, tenant
from manyheads.topics.sketch import Sketch
from manyheads.topics.telemetry import LaneReport, TenantCounts, WorkerIdentity, WorkerReport, WorkerState

T0 = 1_795_000_020_000
"""a time that buckets of both lengths begin at"""


def report(
    at_ms: int,
    *lanes: LaneReport,
    stage: str = "head",
    instance: str = "h0",
    state: WorkerState = WorkerState.READY,
) -> WorkerReport:
    who = WorkerIdentity(
        instance=instance,
        host="node",
        pid=1,
        stage=stage,
        ring=ring("en"),
        cell=cell("c0") if stage == "head" else None,
        package="1",
        started_ms=T0,
    )
    return WorkerReport(worker=who, state=state, at_ms=at_ms, interval_ms=2_000, rss_bytes=1, lanes=lanes)


def answered(
    ok: int, failed: int = 0, ms: float = 10.0, who: str = "acme", lane: Lane = Lane.INTERACTIVE
) -> LaneReport:
    total = Sketch.of([ms] * (ok + failed))
    outcomes = {"ok": ok} | ({"internal": failed} if failed else {})
    tenants = {tenant(who): TenantCounts(requests=ok + failed, errors=failed, total=total)}
    return LaneReport(lane=lane, topic="t", outcomes=outcomes, total=total, tenants=tenants, batches=1, tokens=7)


def test_lanes_add_up_over_workers_and_intervals() -> None:
    reports = aggregate(
        [
            report(T0 + 2_000, answered(3, 1)),
            report(T0 + 4_000, answered(2, ms=100.0)),
            report(T0 + 4_000, answered(4), instance="h1"),
            report(T0 + 4_000, answered(9, lane=Lane.BATCH), stage="encoder", instance="e0"),
        ]
    )
    lanes = reports.lanes(T0 + 10_000, window_ms=10_000)
    assert list(lanes) == [LaneKey("en", "encoder", None, Lane.BATCH), LaneKey("en", "head", "c0", Lane.INTERACTIVE)]
    head = lanes[LaneKey("en", "head", "c0", Lane.INTERACTIVE)]
    assert (head.records, head.rate, head.errors, head.seconds) == (10, 1.0, 1, 10.0)
    assert head.outcomes == {"ok": 9, "internal": 1}
    assert (head.batches, head.tokens, head.total.count, head.queue.p50) == (3, 21, 10, None)
    assert head.total.p50 is not None
    assert 9.9 <= head.total.p50 <= 10.1
    assert head.total.p99 is not None
    assert 99 <= head.total.p99 <= 101


def test_a_series_has_every_whole_bucket_and_a_report_lies_where_its_middle_does() -> None:
    reports = aggregate([report(T0 + 10_500, answered(5)), report(T0 + 11_500, answered(7))])
    points = reports.series(T0 + 25_000, window_ms=25_000, stage="head")
    assert [(point.at_ms - T0, point.records) for point in points] == [(0, 5), (10_000, 7)]
    assert reports.series(T0 + 25_000, window_ms=25_000, stage="encoder")[0].records == 0


def test_tenants_are_ranked_searched_and_counted_once() -> None:
    refused = answered(0, 4, who="bank-b", ms=1.0)
    forwarded = LaneReport(lane=Lane.INTERACTIVE, topic="t", outcomes={"ok": 12})
    reports = aggregate(
        [
            report(T0 + 2_000, answered(5, who="bank-a", ms=50.0), answered(5, who="bank-a", ms=50.0, lane=Lane.BATCH)),
            report(T0 + 2_000, answered(2, 1, who="clinic", ms=900.0), instance="h1"),
            report(T0 + 2_000, refused, forwarded, stage="encoder", instance="e0"),
        ]
    )

    def names(by: TenantOrder, **filters: str) -> list[tuple[str, int, int]]:
        found = reports.tenants(T0 + 30_000, 30_000, by=by, **filters)  # type: ignore[arg-type]
        return [(each.tenant, each.requests, each.errors) for each in found]

    assert names(TenantOrder.REQUESTS) == [("bank-a", 10, 0), ("bank-b", 4, 4), ("clinic", 3, 1)]
    assert names(TenantOrder.ERRORS) == [("bank-b", 4, 4), ("clinic", 3, 1)]
    assert [name for name, _, _ in names(TenantOrder.LATENCY)] == ["clinic", "bank-a", "bank-b"]
    assert [name for name, _, _ in names(TenantOrder.REQUESTS, search="bank")] == ["bank-a", "bank-b"]
    assert names(TenantOrder.REQUESTS, ring="fr") == []
    assert len(reports.tenants(T0 + 30_000, 30_000, limit=1)) == 1
    (interactive, *_) = reports.tenants(T0 + 30_000, 30_000, lane=Lane.INTERACTIVE)
    assert (interactive.requests, interactive.error_share) == (5, 0.0)
    (point,) = reports.tenant_series("en", "bank-a", T0 + 30_000, 30_000)
    assert (point.requests, point.rate) == (10, 10 / 30)
    assert reports.tenant_requests("en", "bank-a", T0 + 30_000, 30_000) == (10,)


def test_workers_are_known_by_their_last_report_and_lost_when_silent() -> None:
    reports = aggregate(
        [
            report(T0 + 4_000, instance="a"),
            report(T0 + 2_000, instance="a", state=WorkerState.STARTING),
            report(T0 + 2_000, instance="b", state=WorkerState.STOPPED),
        ]
    )
    seen = [
        (each.report.worker.instance, each.report.state, each.age_ms, each.lost)
        for each in reports.workers(T0 + 15_000)
    ]
    assert seen == [("a", "ready", 11_000, True), ("b", "stopped", 13_000, False)]


def test_what_is_old_is_forgotten() -> None:
    reports = Aggregate(keep_ms=60_000)
    reports.add(report(T0 + 2_000, answered(5)))
    reports.forget(T0 + 40_000)
    assert reports.tenants(T0 + 40_000)
    reports.forget(T0 + 100_000)
    assert (reports.tenants(T0 + 100_000), reports.lanes(T0 + 100_000), reports.workers(T0 + 100_000)) == ((), {}, ())


moments = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from("abc"), st.sampled_from(Lane), st.floats(1, 900)), max_size=20
)


@given(moments, st.integers(0, 300))
def test_the_whole_window_is_what_its_buckets_add_up_to(answers: list[tuple[int, str, Lane, float]], now: int) -> None:
    """It is kept up to date with every report and every bucket that is forgotten, and not added up when asked for."""
    reports = Aggregate(keep_ms=60_000)
    for second, who, lane, ms in sorted(answers):
        reports.add(report(T0 + second * 1_000, answered(1, 1, ms, who, lane)))
        reports.forget(T0 + second * 1_000)
    now_ms = T0 + max(now, *(second for second, *_ in answers), 0) * 1_000
    fresh = [report(T0 + second * 1_000, answered(1, 1, ms, who, lane)) for second, who, lane, ms in answers]
    wanted = aggregate(fresh, keep_ms=900_000).tenants(now_ms, 60_000)  # keeps more than it is asked for
    assert reports.tenants(now_ms, 60_000) == wanted
