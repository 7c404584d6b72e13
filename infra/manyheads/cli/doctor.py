"""``doctor``: what the examination found, for people and for programs."""

import json
from collections import Counter
from dataclasses import asdict
from time import perf_counter

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from manyheads.cli import FAILED
from manyheads.cli.steps import console
from manyheads.infra.doctor import DoctorOptions, Finding, Status, examine, worst

_MARKS = {
    Status.OK: ("✓", "green"),
    Status.WARN: ("!", "yellow"),
    Status.FAIL: ("✗", "red"),
    Status.UNKNOWN: ("?", "dim"),
}
_TOTALS = {Status.OK: "ok", Status.WARN: "to look at", Status.FAIL: "wrong", Status.UNKNOWN: "not checked"}
_SUBJECT_WIDTH = 24


def run_doctor(options: DoctorOptions, *, as_json: bool, strict: bool) -> None:
    """Show what is wrong and what to do. Raises typer.Exit(1) for a failure, with ``strict`` for anything but ok."""
    began = perf_counter()
    findings: list[Finding] = []
    out = console()
    for finding in examine(options):
        if as_json:
            print(json.dumps(asdict(finding)))
        else:
            _show(out, finding, new_area=not findings or findings[-1].area != finding.area)
        findings.append(finding)
    if not as_json:
        _show_totals(out, findings, perf_counter() - began)
    status = worst(findings)
    if status is Status.FAIL or (strict and status is not Status.OK):
        raise typer.Exit(FAILED)


def _show(out: Console, finding: Finding, *, new_area: bool) -> None:
    if new_area:
        out.print()
        out.print(Text(f"  {finding.area}", style="bold"))
    mark, style = _MARKS[finding.status]
    lines = Table.grid(padding=(0, 1))
    lines.add_column(width=3)
    lines.add_column(width=_SUBJECT_WIDTH, overflow="fold")
    lines.add_column(overflow="fold")
    lines.add_row(Text(f"  {mark}", style=style), Text(finding.subject), Text(finding.seen))
    if finding.advice:
        lines.add_row("", "", Text(f"→ {finding.advice}", style="bold"))
    out.print(lines)


def _show_totals(out: Console, findings: list[Finding], seconds: float) -> None:
    counts = Counter(finding.status for finding in findings)
    shown = ", ".join(f"{counts[status]} {what}" for status, what in _TOTALS.items() if counts[status])
    out.print()
    out.print(Text(f"  {shown}", style="bold").append(f"    {seconds:.1f} s", style="not bold dim"))
