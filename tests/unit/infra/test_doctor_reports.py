"""What the doctor makes of the workers' reports."""

import pytest

from manyheads.infra.doctor.findings import Status
from manyheads.infra.doctor.workers import SILENT_AFTER_MS, Heard, judge_encoders, judge_reports
from manyheads.topics.names import ring
from manyheads.topics.telemetry import WorkerIdentity, WorkerReport, WorkerState

NOW = 1_795_000_000_000
EN = ring("en")


def heard(
    instance: str,
    state: WorkerState = WorkerState.READY,
    *,
    taken_ms: int | None = NOW - 500,
    package: str = "0.1.0",
    encoder: str = "v1",
    waits_for: str = "",
) -> Heard:
    worker = WorkerIdentity(
        instance=instance, host="box", pid=42, stage="encoder", ring=EN, package=package, started_ms=NOW - 60_000
    )
    report = WorkerReport(
        worker=worker,
        state=state,
        waits_for=waits_for,
        at_ms=NOW - 500,
        interval_ms=2_000,
        rss_bytes=1,
        models={"encoder": encoder},
    )
    return Heard(report, taken_ms)


def statuses(*all_heard: Heard, now_ms: float = NOW) -> dict[str, Status]:
    return {finding.subject: finding.status for finding in judge_reports(all_heard, now_ms)}


def test_workers_that_are_ready() -> None:
    reports, versions = judge_reports([heard("a"), heard("b")], NOW)
    assert reports.status is versions.status is Status.OK
    assert reports.seen == "2 workers ready: a (encoder), b (encoder)"
    assert versions.seen == "manyheads 0.1.0 everywhere"


def test_a_worker_that_was_killed_and_one_that_stopped() -> None:
    late = NOW + SILENT_AFTER_MS
    found = {finding.subject: finding for finding in judge_reports([heard("a"), heard("b", WorkerState.STOPPED)], late)}
    assert found.keys() == {"a (encoder)", "versions"}
    assert found["a (encoder)"].status is Status.WARN
    assert "process 42 on box" in found["a (encoder)"].advice


def test_silence_is_counted_by_the_brokers_clock_where_it_is_known() -> None:
    assert statuses(heard("a", taken_ms=NOW - 60_000))["a (encoder)"] is Status.WARN
    assert statuses(heard("a", taken_ms=None))["reports"] is Status.OK


@pytest.mark.parametrize("state", [WorkerState.STARTING, WorkerState.PREPARING, WorkerState.DRAINING])
def test_a_worker_that_is_not_ready_says_what_it_waits_for(state: WorkerState) -> None:
    finding = next(iter(judge_reports([heard("a", state, waits_for="heads of 3 partitions")], NOW)))
    assert (finding.subject, finding.status) == ("a (encoder)", Status.WARN)
    assert f"{state}, waits for heads of 3 partitions" in finding.seen


def test_no_report_at_all() -> None:
    assert statuses() == {"reports": Status.UNKNOWN}
    assert statuses(heard("a", WorkerState.STOPPED)) == {"reports": Status.UNKNOWN}


def test_two_versions_at_work() -> None:
    assert statuses(heard("a"), heard("b", package="0.2.0"))["versions"] is Status.WARN


def test_a_worker_with_yesterdays_encoder() -> None:
    workers = [heard("a", encoder="v1"), heard("b", encoder="v2"), heard("c", WorkerState.STOPPED, encoder="v0")]
    (finding,) = judge_encoders(workers, EN, "v2")
    assert finding.status is Status.WARN
    assert "1 worker not on the live encoder v2: a (encoder)" in finding.seen
    (finding,) = judge_encoders(workers[1:], EN, "v2")
    assert finding.status is Status.OK
    assert list(judge_encoders(workers, ring("fr"), "v2")) == []
