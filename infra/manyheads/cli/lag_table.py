"""A lag snapshot for people, and as JSON."""

import math
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from manyheads.infra.lag import GroupLag, LagSnapshot, LagState, PartitionLag

_STYLES = {
    LagState.OK: "green",
    LagState.WARN: "yellow",
    LagState.STALL: "bold red",
    LagState.STOP: "bold red",
    LagState.REWIND: "bold magenta",
    LagState.ERR: "bold red",
}
_NUMBERS = ("lag", "oldest", "in/s", "done/s", "ETA")
_UNKNOWN = "?"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def snapshot_view(snapshot: LagSnapshot, *, partitions: bool, sampled: bool) -> RenderableType:
    """The groups, or all their partitions, and under them what is not well.

    Names and sentences may be anybody's, so they are never read as markup.
    """
    at = datetime.fromtimestamp(snapshot.at_ms / 1_000, UTC).astimezone()
    if snapshot.broker is not None:
        return Group(Text(f"  {at:%H:%M:%S}  Kafka is away", style="bold red"), Text(f"  {snapshot.broker}"))
    if not snapshot.groups:
        return Text("  there is no such group")
    table = _partitions(snapshot.groups) if partitions else _groups(snapshot.groups)
    return Group(table, *_remarks(snapshot), _footer(snapshot, at, sampled=sampled))


def snapshot_json(snapshot: LagSnapshot) -> dict[str, Any]:
    """Plain JSON: what is None is null, and an ETA that never comes is the text ``never``."""
    found = asdict(snapshot)
    for group in found["groups"]:
        group["state"] = str(group["state"])
        for each in (group, *group["partitions"]):
            if each["eta_s"] == math.inf:
                each["eta_s"] = "never"
    return {"state": str(snapshot.state), **found}


def _groups(groups: Iterable[GroupLag]) -> Table:
    table = _table("group", "state", *_NUMBERS, "members")
    for group in groups:
        table.add_row(Text(group.group), _state(group.state), *_figures(group), f"{len(group.members)}")
    return table


def _partitions(groups: Iterable[GroupLag]) -> Table:
    table = _table("group, partition", "state", *_NUMBERS)
    for group in groups:
        table.add_row(Text(group.group, style="bold"), _state(group.state), *_figures(group))
        for each in group.partitions:
            table.add_row(Text(f"  {each.topic}-{each.partition}"), _state(each.state), *_figures(each))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        number = heading in (*_NUMBERS, "members")
        name = heading.startswith("group")
        table.add_column(heading, justify="right" if number else "left", no_wrap=not name, overflow="fold")
    return table


def _figures(lag: GroupLag | PartitionLag) -> tuple[str, ...]:
    return (
        _UNKNOWN if lag.lag is None else f"{lag.lag:,}",
        "-" if lag.lag == 0 else _duration(lag.oldest_age_s),
        _rate(lag.arrival_rate),
        _rate(lag.completion_rate),
        "-" if lag.eta_s == 0 else _duration(lag.eta_s),
    )


def _remarks(snapshot: LagSnapshot) -> Iterable[RenderableType]:
    """One line for each group that is not well; if there is but one group, for each of its partitions."""
    lines = Table.grid(padding=(0, 1))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for group in snapshot.groups:
        unwell = [each for each in group.partitions if each.state is not LagState.OK]
        if len(snapshot.groups) == 1 and unwell:
            for each in unwell:
                lines.add_row(_state(each.state, indent=2), Text(f"{each.topic}-{each.partition}: {each.sentence}"))
        elif group.state is not LagState.OK:
            lines.add_row(_state(group.state, indent=2), Text(f"{group.group}: {group.sentence}"))
    for letters in snapshot.dead_letters:
        if letters.count:
            rate = f", {letters.rate:,.1f} a second" if letters.rate else ""
            lines.add_row(Text("  dead letters", style="yellow"), Text(f"{letters.topic}: {letters.count:,}{rate}"))
    return [lines, Text()] if lines.row_count else []


def _footer(snapshot: LagSnapshot, at: datetime, *, sampled: bool) -> Text:
    groups, waiting = len(snapshot.groups), sum(group.lag for group in snapshot.groups)
    text = f"  {at:%H:%M:%S}  {groups} {'group' if groups == 1 else 'groups'}, {waiting:,} waiting"
    if not sampled:
        text += "; one sample has no rates and shows no state but ERR (--over 4 takes five)"
    return Text(text, style="dim")


def _state(state: LagState, indent: int = 0) -> Text:
    return Text(" " * indent + state, style=_STYLES[state])


def _rate(rate: float | None) -> str:
    if rate is None:
        return _UNKNOWN
    return f"{rate:,.0f}" if rate >= 100 or rate == 0 else f"{rate:,.1f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    if seconds == math.inf:
        return "never"
    for unit, name in _UNITS:
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.0f} {name}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
