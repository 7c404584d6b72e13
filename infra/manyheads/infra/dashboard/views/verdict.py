"""The answer to the first question, in a sentence; and what is missing, with what to do about it."""

import math
from dataclasses import dataclass

from manyheads.infra.dashboard import figures
from manyheads.infra.dashboard.model import Snapshot
from manyheads.infra.dashboard.views.parts import Notice, Tone, stage_name
from manyheads.infra.lag.model import GroupLag, LagState
from manyheads.topics.names import head_group

_FRESH_ETA_S = 5.0
"""what will be done by then is work in hand"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The page's first line."""

    headline: str
    sentence: str
    tone: Tone


def our_groups(snapshot: Snapshot) -> tuple[GroupLag, ...]:
    """The groups that are stages of the pipeline."""
    return tuple(group for group in snapshot.lag.groups if group.stage is not None)


def group_name(group: GroupLag) -> str:
    """``en · Heads c0 · interactive``; somebody else's group by its own name."""
    if group.stage is None or group.ring is None or group.lane is None:
        return group.group
    name = f"{group.ring} · {stage_name(group.stage, group.cell)} · {group.lane}"
    return f"{name} · transient" if _is_transient(group) else name


def _is_transient(group: GroupLag) -> bool:
    """Whether it is the group of those tenants whose embeddings are not retained."""
    if group.ring is None or group.cell is None or group.lane is None:
        return False
    return group.group == head_group(group.ring, group.cell, group.lane, transient=True)


def verdict(snapshot: Snapshot) -> Verdict:
    """Are we keeping up?"""
    if snapshot.lag.broker is not None:
        return Verdict("Kafka does not answer", _sentence(snapshot.lag.broker), Tone.BAD)
    groups = our_groups(snapshot)
    if not groups:
        return Verdict(
            "Nothing to watch yet",
            "Kafka answers, and has no topics of a ring. Create them with `manyheads topics create --ring NAME`, "
            "or start a local pipeline with `manyheads up`.",
            Tone.CALM,
        )
    worst = max(groups, key=lambda group: (group.state.severity, group.lag))
    others = sum(group.state is not LagState.OK for group in groups) - 1
    more = f" {others} more {'group needs' if others == 1 else 'groups need'} a look." if others > 0 else ""
    if worst.state.severity > LagState.WARN.severity:
        return Verdict("Not keeping up", f"{group_name(worst)}: {_sentence(worst.sentence)}{more}", Tone.BAD)
    if worst.state is LagState.WARN:
        return Verdict("Falling behind", f"{group_name(worst)}: {_sentence(worst.sentence)}{more}", Tone.WARN)
    return _fine(snapshot, groups)


def notices(snapshot: Snapshot) -> tuple[Notice, ...]:
    """What keeps the pages from showing more. What the verdict has said already is not repeated."""
    if snapshot.lag.broker is not None:
        return ()
    found = []
    traffic = snapshot.traffic
    if traffic.problem is not None:
        found.append(Notice("The workers' reports cannot be read.", _sentence(traffic.problem)))
    elif our_groups(snapshot) and not traffic.workers:
        found.append(
            Notice(
                "No worker has reported in the last 15 minutes.",
                "Rates, latencies, errors, tenants and workers come from the workers' reports: start workers, and "
                "upgrade those that are too old to report. Lag is measured without them.",
            )
        )
    if snapshot.letters.problem is not None:
        found.append(Notice("Dead letters cannot be read.", _sentence(snapshot.letters.problem)))
    return tuple(found)


def _fine(snapshot: Snapshot, groups: tuple[GroupLag, ...]) -> Verdict:
    waiting = sum(group.lag for group in groups)
    etas = [group.eta_s for group in groups]
    longest = max((eta for eta in etas if eta is not None), default=0.0)
    series = snapshot.traffic.lanes.values()
    if waiting and _FRESH_ETA_S < longest < math.inf:
        return Verdict(
            "Catching up",
            f"{figures.count(waiting)} records wait; they will be done in {figures.seconds(longest)}.",
            Tone.WARN,
        )
    if not waiting and series and not any(each.whole.records for each in series):
        return Verdict("Idle", "No request in the last 15 minutes, and nothing waits.", Tone.CALM)
    return Verdict("Keeping up", _done_as_it_comes(waiting), Tone.LIVE)


def _done_as_it_comes(waiting: int) -> str:
    if not waiting:
        return "Nothing waits in any stage."
    verb = "record is" if waiting == 1 else "records are"
    return f"{figures.count(waiting)} {verb} on the way; what comes is done as it comes."


def _sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")
