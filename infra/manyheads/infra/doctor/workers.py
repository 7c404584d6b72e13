"""The workers: is every partition read by one?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from manyheads.infra.doctor.findings import Area, Finding, counted
from manyheads.topics.names import CellName, Lane, RingName, embeddings_topic, encoder_group, head_group, requests_topic

WORKERS = Area("workers")
_SETTLED = frozenset({"STABLE", "EMPTY", "DEAD", "UNKNOWN"})


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
        for lane in Lane:
            yield StageGroup(head_group(ring, cell, lane), embeddings_topic(ring, cell, lane), head)


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
