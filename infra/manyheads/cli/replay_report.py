"""What a replay found, as tables and as JSON."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from manyheads.cli.moments import shown
from manyheads.cli.steps import console
from manyheads.head_worker.replay import ComparisonReport, Coverage, Said
from manyheads.topics.names import RingName, TenantName

_SHOWN_INTENTS = 15


@dataclass(frozen=True, slots=True)
class Window:
    """The span of time, milliseconds since the epoch."""

    since_ms: int
    until_ms: int
    kept_since_ms: int | None
    """from when on everything is still there, where retention may have taken what was before; else None"""
    emptied: tuple[str, ...]
    """topics that keep nothing of the span in a partition of the tenant's, where retention may have taken what was"""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """One replay."""

    tenant: TenantName
    ring: RingName
    head: str
    reads: str
    """``view of space`` that the head reads"""
    window: Window
    transient: bool
    """whether the tenant's embeddings are not retained now"""
    coverage: Coverage
    comparison: ComparisonReport
    runs: int
    """times that the head ran: once for each distinct embedding"""
    seconds: float


def show_report(report: ReplayReport, *, as_json: bool) -> None:
    """Print the report: as one JSON object, or for people."""
    if as_json:
        print(json.dumps(_fields(report), ensure_ascii=False))
        return
    out = console()
    for line in _coverage_lines(report):
        out.print(line)
    if report.comparison.compared:
        _print_comparison(out, report.comparison)


def _fields(report: ReplayReport) -> dict[str, object]:
    found = report.comparison
    coverage = {each.name: getattr(report.coverage, each.name) for each in fields(report.coverage)}
    return {
        "tenant": report.tenant,
        "ring": report.ring,
        "head": report.head,
        "reads": report.reads,
        **asdict(report.window),
        "transient": report.transient,
        **coverage,
        "runs": report.runs,
        "seconds": round(report.seconds, 3),
        **asdict(replace(found, examples=())),
        "examples": [
            {**each.place._asdict(), "before": _said(each.before), "after": _said(each.after)}
            for each in found.examples
        ],
    }


def _said(said: Said) -> dict[str, object]:
    entities = [each._asdict() for each in sorted(said.entities, key=lambda each: (each.start, each.end))]
    return {"intent": said.intent, "confidence": said.confidence, "entities": entities}


def _coverage_lines(report: ReplayReport) -> Iterator[Text]:
    coverage, window = report.coverage, report.window
    rate = coverage.embeddings / report.seconds if report.seconds else 0.0
    yield Text.assemble(
        (f"{coverage.embeddings:,} embeddings", "bold"),
        f" of {report.tenant}, {shown(window.since_ms)} to {shown(window.until_ms)}",
    )
    yield Text(f"{report.runs:,} different ones, read by head {report.head} in {report.seconds:.1f} s ({rate:,.0f}/s)")
    if window.kept_since_ms is not None:
        yield Text(f"retention may have deleted some of what was before {shown(window.kept_since_ms)}", "yellow")
    if window.emptied:
        yield Text(
            f"nothing of this span is kept in a partition of {' and of '.join(window.emptied)}: retention may have "
            "deleted what there was",
            "yellow",
        )
    if report.transient:
        yield Text(
            f"{report.tenant} has opted out: its embeddings are not retained, and only those from before that may be "
            "there",
            "yellow",
        )
    if coverage.other:
        yield Text(
            f"{_counted(coverage.other)}: not read, the head reads {report.reads}",
            "yellow",
        )
    others = {code: count for code, count in coverage.unread.items() if code != "space_mismatch"}
    if others:
        yield Text(f"not readable: {_counted(others)}", "yellow")
    if coverage.copies:
        yield Text(f"{coverage.copies:,} were copies of others: written again after a restart")
    if coverage.without_reply:
        yield Text(f"{coverage.without_reply:,} have no reply any more, or none yet: not compared", "yellow")
    if coverage.failed:
        yield Text(f"answered with an error then: {_counted(coverage.failed)}")
    if coverage.answered_by:
        yield Text(f"answered then by head {_counted(coverage.answered_by)}")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _print_comparison(out: Console, found: ComparisonReport) -> None:
    out.print()
    agreement = _table("agreement", "texts", "share")
    for name, count in (
        ("same answer", found.same_answer),
        ("same intent", found.same_intent),
        ("same entities", found.same_entities),
        ("compared", found.compared),
    ):
        agreement.add_row(name, f"{count:,}", f"{count / found.compared:.2%}")
    out.print(agreement)
    out.print(
        f"confidence of the intent: mean {found.confidence_before:.3f} then, {found.confidence_after:.3f} now; "
        f"moved by {found.confidence_moved:.3f} on average"
    )
    changed = [each for each in found.intents if each.before != each.after]
    if changed:
        table = _table("intent then", "intent now", "texts", numbers=1)
        for each in changed[:_SHOWN_INTENTS]:
            table.add_row(Text(each.before), Text(each.after), f"{each.count:,}")
        out.print(table)
        if len(changed) > _SHOWN_INTENTS:
            out.print(Text(f"and {len(changed) - _SHOWN_INTENTS:,} other pairs: see --json", "dim"))
    if found.labels:
        table = _table("entity label", "kept", "lost", "found", numbers=3)
        for label in found.labels:
            table.add_row(Text(label.label), f"{label.kept:,}", f"{label.lost:,}", f"{label.found:,}")
        out.print(table)
    if found.examples:
        table = _table("topic:partition:offset", "then", "now", numbers=0)
        for example in found.examples:
            place = example.place
            where = f"{place.topic}:{place.partition}:{place.offset}"
            table.add_row(where, Text(_in_words(example.before)), Text(_in_words(example.after)))
        out.print(table)


def _in_words(said: Said) -> str:
    entities = "".join(
        f"\n{each.label} {each.start}-{each.end}"
        for each in sorted(said.entities, key=lambda each: (each.start, each.end))
    )
    return f"{said.intent} {said.confidence:.2f}{entities}"


def _table(*headings: str, numbers: int = 2) -> Table:
    """A table whose last ``numbers`` columns are numbers."""
    table = Table(box=SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False)
    for place, heading in enumerate(headings):
        number = place >= len(headings) - numbers
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    return table
