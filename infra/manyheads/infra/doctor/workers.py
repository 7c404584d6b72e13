"""The workers: is every partition read by one?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from manyheads.infra.doctor.findings import Area, Finding, counted, some
from manyheads.topics.names import CellName, Lane, RingName, embeddings_topic, encoder_group, head_group, requests_topic
from manyheads.topics.telemetry import REPORT_INTERVAL_S, WorkerReport, WorkerState

WORKERS = Area("workers")
SILENT_AFTER_MS = 5 * REPORT_INTERVAL_S * 1_000
"""some reports may be late or lost"""
_SETTLED = frozenset({"STABLE", "EMPTY", "DEAD", "UNKNOWN"})


@dataclass(frozen=True, slots=True)
class Heard:
    """A worker's latest report."""

    report: WorkerReport
    taken_ms: int | None
    """the broker's time when it took it; None where the topic keeps the writer's"""

    @property
    def name(self) -> str:
        """What people call the worker."""
        worker = self.report.worker
        return f"{worker.instance} ({worker.stage})"


@dataclass(frozen=True, slots=True)
class StageGroup:
    """A consumer group that must have members, and the topic that it reads."""

    group: str
    topic: str
    start: str
    """how to start a member"""


@dataclass(frozen=True, slots=True)
class GroupState:
    """A consumer group as its coordinator describes it."""

    state: str
    """such as STABLE; EMPTY or DEAD without members"""
    members: int
    assigned: frozenset[int]
    """partitions of the topic that a member reads"""


def stage_groups(ring: RingName, cells: Sequence[CellName]) -> Iterator[StageGroup]:
    """The groups of a ring: the encoder stage and each cell's head stage, on both lanes."""
    encoder = f"MANYHEADS_RING={ring} python -m manyheads.encoder_worker"
    for lane in Lane:
        yield StageGroup(encoder_group(ring, lane), requests_topic(ring, lane), encoder)
    for cell in cells:
        head = f"MANYHEADS_RING={ring} MANYHEADS_CELL={cell} python -m manyheads.head_worker"
        for lane, transient in product(Lane, (False, True)):
            group = head_group(ring, cell, lane, transient=transient)
            yield StageGroup(group, embeddings_topic(ring, cell, lane, transient=transient), head)


def judge_group(group: StageGroup, state: GroupState, partitions: int) -> Finding:
    """Whether its members read all ``partitions`` of its topic."""
    if not state.members:
        return WORKERS.fail(
            group.group,
            f"no worker reads {group.topic}: its requests wait",
            f"start one: {group.start}",
        )
    unread = sorted(set(range(partitions)) - state.assigned)
    members = counted(state.members, "member")
    if unread:
        shown = ", ".join(map(str, unread))
        seen = f"{members}, and nobody reads partition {shown} of {group.topic} (group {state.state})"
        if state.state not in _SETTLED:
            return WORKERS.warn(group.group, seen, "a rebalance is under way: ask again in a few seconds")
        return WORKERS.fail(group.group, seen, "look at the workers' logs: one of them holds up the rebalance")
    return WORKERS.ok(group.group, f"{members}, all {counted(partitions, 'partition')} read")


def judge_reports(heard: Sequence[Heard], now_ms: float) -> Iterator[Finding]:
    """What the workers say of themselves; ``now_ms`` is the present, in milliseconds since the epoch."""
    living = [each for each in heard if each.report.state is not WorkerState.STOPPED]
    if not living:
        yield WORKERS.unknown("reports", "no worker has reported lately", "older workers do not report")
    good = []
    for each in sorted(living, key=lambda each: each.name):
        age_ms = now_ms - (each.report.at_ms if each.taken_ms is None else each.taken_ms)
        if age_ms > SILENT_AFTER_MS:
            yield WORKERS.warn(
                each.name,
                f"its last report, as {each.report.state}, is {age_ms / 1_000:.0f} s old",
                f"killed, or without Kafka: look for process {each.report.worker.pid} on {each.report.worker.host}",
            )
        elif each.report.state is not WorkerState.READY:
            waits_for = each.report.waits_for or "nothing that it names"
            yield WORKERS.warn(each.name, f"{each.report.state}, waits for {waits_for}", "ask again in a few seconds")
        else:
            good.append(each)
    if good:
        yield WORKERS.ok("reports", f"{counted(len(good), 'worker')} ready: {some(each.name for each in good)}")
    yield from _judge_versions(living)


def _judge_versions(heard: Sequence[Heard]) -> Iterator[Finding]:
    packages = sorted({each.report.worker.package for each in heard})
    if len(packages) > 1:
        yield WORKERS.warn(
            "versions", f"of manyheads: {some(packages)}", "finish the upgrade: restart the older workers"
        )
    elif packages:
        yield WORKERS.ok("versions", f"manyheads {packages[0]} everywhere")


def judge_encoders(heard: Sequence[Heard], ring: RingName, version: str) -> Iterator[Finding]:
    """Whether the ring's encoder workers run the encoder that the registry says is live."""
    served = {
        each.name: each.report.models["encoder"]
        for each in heard
        if each.report.worker.ring == ring
        and "encoder" in each.report.models
        and each.report.state is not WorkerState.STOPPED
    }
    others = sorted(name for name, found in served.items() if found != version)
    if others:
        yield WORKERS.warn(
            f"ring {ring}",
            f"{counted(len(others), 'worker')} not on the live encoder {version}: {some(others)}",
            "an encoder is loaded at the start: restart them",
        )
    elif served:
        yield WORKERS.ok(f"ring {ring}", f"{counted(len(served), 'worker')} on the live encoder {version}")
