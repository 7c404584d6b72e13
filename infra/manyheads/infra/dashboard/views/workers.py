"""Who does the work, and on what."""

from collections.abc import Sequence
from dataclasses import dataclass

from manyheads.infra.dashboard import figures
from manyheads.infra.dashboard.model import Snapshot
from manyheads.infra.dashboard.views.parts import Notice, stage_name
from manyheads.infra.dashboard.views.verdict import notices
from manyheads.infra.telemetry.aggregate import WorkerStatus
from manyheads.topics.names import parse_stage_topic
from manyheads.topics.telemetry import LaneReport, WorkerReport

LOST = "lost"


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker process."""

    instance: str
    where: str
    # What follows may have several lines.
    stage: str
    state: str
    """as it says itself, or lost: it is silent, and has not said that it stops"""
    why: str
    """what it waits for, if it does"""
    partitions: str
    heads: str
    memory: str
    versions: str
    in_flight: str
    last_report: str


@dataclass(frozen=True, slots=True)
class WorkersPage:
    """The page."""

    notices: tuple[Notice, ...]
    summary: str
    rows: tuple[WorkerRow, ...]


def workers_page(snapshot: Snapshot) -> WorkersPage:
    """All workers of the last 15 minutes, those that are lost first and those that stopped last."""
    rows = [_row(status) for status in snapshot.traffic.workers]
    rows.sort(key=lambda row: (row.state != LOST, row.state == "stopped"))
    states = [row.state for row in rows]
    summary = " · ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return WorkersPage(notices(snapshot), summary or "Nobody has reported in the last 15 minutes.", tuple(rows))


def ranges(numbers: Sequence[int]) -> str:
    """Partitions in few characters: ``0-3, 7``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _row(status: WorkerStatus) -> WorkerRow:
    report, who = status.report, status.report.worker
    heads = report.heads
    return WorkerRow(
        instance=who.instance,
        where=f"{who.host}, pid {who.pid}",
        stage=f"{stage_name(who.stage, who.cell)}\nring {who.ring}",
        state=LOST if status.lost else report.state.value,
        why=report.waits_for,
        partitions=_partitions(report),
        heads=figures.UNKNOWN if heads is None else f"{figures.count(heads.loaded)}\n{figures.size(heads.bytes)}",
        memory=figures.size(report.rss_bytes),
        versions="\n".join([who.package, *(f"{name} {version}" for name, version in report.models.items())]),
        in_flight=figures.count(sum(lane.in_flight for lane in report.lanes)),
        last_report=figures.ago(status.age_ms / 1_000),
    )


def _partitions(report: WorkerReport) -> str:
    told = [f"{_input(lane)} {ranges(lane.partitions)}" for lane in report.lanes if lane.partitions]
    return "\n".join(told) or "none"


def _input(lane: LaneReport) -> str:
    source = parse_stage_topic(lane.topic)
    return f"{lane.lane} transient" if source is not None and source.transient else str(lane.lane)
