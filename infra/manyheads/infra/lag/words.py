"""Why a partition or a group is in its state, and what to do: one sentence for people."""

from collections.abc import Sequence

from manyheads.infra.lag.history import Pace
from manyheads.infra.lag.judge import NOTHING_COMMITTED, Sample
from manyheads.infra.lag.model import LagState, Member, PartitionLag


def partition_sentence(state: LagState, window: Sequence[Sample], pace: Pace, member: Member | None) -> str:
    """What the rules saw."""
    now = window[-1]
    waiting = f"{now.lag:,} {'record waits' if now.lag == 1 else 'records wait'}"
    match state:
        case LagState.WARN:
            why = (
                f"{waiting}, and that does not shrink: {_rate(pace.arrival_rate)} arrive and"
                f" {_rate(pace.completion_rate)} are done a second; add workers, or wait for the peak to pass"
            )
        case LagState.STALL:
            why = f"{waiting}, and nothing was committed for {_still_s(window):.0f} s; {_who(member)}"
        case LagState.STOP:
            never = "was ever" if now.offset == NOTHING_COMMITTED else "is"
            why = f"{waiting}, and no consumer {never} there; start a worker"
        case LagState.REWIND:
            highest = max(sample.offset for sample in window)
            why = (
                f"the committed offset went back from {highest:,} to {now.offset:,}; records in between are"
                " processed again"
            )
        case _:
            why = _fine(waiting, window, pace)
    return why


def _fine(waiting: str, window: Sequence[Sample], pace: Pace) -> str:
    if window[-1].lag == 0:
        return "caught up"
    if len(window) == 1:
        return f"{waiting}; one sample does not tell more"
    return f"{waiting}, and the group works on them" if pace.completion_rate else waiting


def group_sentence(state: LagState, partitions: Sequence[PartitionLag]) -> str:
    """That of its worst partition, and of how many."""
    worst = [each for each in partitions if each.state is state]
    if not worst:
        return "no partition: it has committed nothing and has no member"
    first = max(worst, key=lambda each: each.lag or 0)
    if state is LagState.OK:
        lag = sum(each.lag or 0 for each in partitions)
        return "caught up" if lag == 0 else first.sentence
    count = f"{len(worst)} of {len(partitions)} partitions" if len(partitions) > 1 else "its only partition"
    return f"{count}; {first.topic}-{first.partition}: {first.sentence}"


def expired_sentence(committed: int, start: int) -> str:
    """The group's next records were deleted before it read them."""
    lost = start - committed
    gone = "1 offset from {} on was" if lost == 1 else f"{lost:,} offsets from {{}} on were"
    return (
        f"{gone.format(f'{committed:,}')} deleted before the group came there (the log begins at {start:,} now):"
        " records are lost to it; raise the topic's retention, or work faster"
    )


def vanished_sentence(committed: int) -> str:
    """The group had an offset, and has none any more."""
    return (
        f"the committed offset {committed:,} is gone: somebody deleted it, or the group was without members for longer"
        " than offsets.retention.minutes; a worker begins at the log's start"
    )


def beyond_sentence(committed: int, end: int) -> str:
    """The group has committed what does not exist."""
    return (
        f"the committed offset {committed:,} is beyond the end of the log, {end:,}: the topic was made anew, or lost"
        " records; reset the group's offsets"
    )


def _still_s(window: Sequence[Sample]) -> float:
    now = window[-1]
    still = now.at_s
    for sample in reversed(window):
        if sample.offset != now.offset or sample.lag == 0:
            break
        still = sample.at_s
    return now.at_s - still


def _who(member: Member | None) -> str:
    if member is None:
        return "no consumer has the partition: start a worker, or wait for the rebalance"
    return f"look at the worker on {member.host} that has the partition ({member.client_id}, {member.id})"


def _rate(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:,.1f}"
