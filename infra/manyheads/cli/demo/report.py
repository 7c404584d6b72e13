"""The demo's tables and closing lines: values in, text out."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from manyheads.cli.demo.scores import Scores, percentile
from manyheads.producers import Answer

_MARGIN = 2


@dataclass(frozen=True, slots=True)
class TenantRow:
    """One tenant: its head, and its scores on held-out utterances, in process (if known) and through Kafka."""

    tenant: str
    intents: int
    entity_labels: int
    trained_on: int
    head_bytes: int
    offline: Scores | None
    served: Scores


@dataclass(frozen=True, slots=True)
class Sample:
    """An utterance and its answer."""

    text: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class LoadRow:
    """What became of the load. Latencies are milliseconds, from the SDK's call to its answer."""

    sent: int
    latencies_ms: Sequence[float]
    seconds: float
    in_flight: int
    errors: Sequence[str] = ()
    killed: Sequence[str] = ()

    @property
    def answered(self) -> int:
        return len(self.latencies_ms)


@dataclass(frozen=True, slots=True)
class ModelBytes:
    """What one shared encoder with heads costs, and a whole model for each tenant."""

    heads: Sequence[int]
    encoder_int8: int
    encoder_float32: int


def print_samples(out: Console, samples: Sequence[Sample]) -> None:
    """Utterances with intent, confidence, entities and latency."""
    _title(out, "Some utterances, one at a time")
    table = _table()
    table.add_column("utterance", max_width=30, overflow="fold")
    table.add_column("intent, tenant", no_wrap=True)
    table.add_column("conf.", justify="right", no_wrap=True)
    table.add_column("entities", overflow="fold")
    table.add_column("ms", justify="right", no_wrap=True)
    for sample in samples:
        answer = sample.answer
        table.add_row(
            sample.text,
            Text.assemble(answer.intent.name, (f"\n{answer.tenant}", "dim")),
            f"{answer.intent.confidence:.2f}",
            "\n".join(f"{entity.label}: {entity.text}" for entity in answer.entities),
            f"{answer.latency_ms:.0f}",
        )
        table.add_row()
    _show(out, table)


def print_tenants(out: Console, rows: Sequence[TenantRow]) -> None:
    """Each tenant's head and its accuracy."""
    _title(out, "Accuracy on held-out utterances, answered through Kafka")
    table = _table()
    table.add_column("tenant", no_wrap=True)
    for column in ("intents", "labels", "trained", "head", "asked", "intent", "entity F1"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.tenant,
            str(row.intents),
            str(row.entity_labels or "-"),
            f"{row.trained_on:,}",
            size(row.head_bytes),
            f"{row.served.texts:,}",
            share(row.served.intent_accuracy),
            share(row.served.entity_f1),
        )
    _show(out, table)
    offline = [row.offline for row in rows if row.offline is not None]
    accuracy = [scores.intent_accuracy for scores in offline if scores.intent_accuracy is not None]
    f1 = [scores.entity_f1 for scores in offline if scores.entity_f1 is not None]
    parts = [f"intent {_mean(accuracy)}"] if accuracy else []
    parts += [f"entity F1 {_mean(f1)}"] if f1 else []
    if parts:
        _line(out, "The same heads in process, each utterance once, mean over tenants:", style="dim")
        _line(out, ", ".join(parts), style="dim")


def print_load(out: Console, load: LoadRow, where: str) -> None:
    """How many were answered, how fast; ``where`` says on what, such as ``on 8 cores``."""
    _title(out, f"{load.sent:,} requests, {load.in_flight} in flight, {where}")
    out.print()
    lost = load.sent - load.answered - len(load.errors)
    counts = f"{load.answered:,} of {load.sent:,} answered, {len(load.errors)} errors, {lost} lost"
    if load.killed:
        counts += f", while {' and '.join(load.killed)} were killed (kill -9) and restarted"
    _line(out, counts)
    if load.latencies_ms:
        p50, p90, p99 = (percentile(load.latencies_ms, percent) for percent in (50, 90, 99))
        _line(
            out,
            f"{load.answered / load.seconds:,.0f} requests/s    latency p50 {p50:.0f} ms, p90 {p90:.0f} ms, "
            f"p99 {p99:.0f} ms",
        )
    for message in load.errors[:3]:
        _line(out, message, style="red")


def print_bytes(out: Console, models: ModelBytes) -> None:
    """Bytes per tenant, and what a full model per tenant would have cost."""
    tenants = len(models.heads)
    heads = sum(models.heads)
    full = tenants * models.encoder_float32
    _title(out, "What a tenant costs")
    out.print()
    _line(
        out,
        f"{size(heads // tenants)} each: {tenants} heads {size(heads)} + one int8 encoder {size(models.encoder_int8)} "
        f"= {size(heads + models.encoder_int8)}",
    )
    _line(out, f"A full model each would be {tenants} x {size(models.encoder_float32)} = {size(full)}")
    _line(out, "(this encoder in float32, without a head)", style="dim")


def print_versions(out: Console, encoders: Sequence[str], heads: Sequence[tuple[str, str]]) -> None:
    """Which versions answered."""
    _title(out, "Versions that answered")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for encoder in encoders:
        table.add_row("encoder", encoder)
    for tenant, version in heads:
        table.add_row(f"head of {tenant}", version)
    out.print()
    _show(out, table)


def size(count: int) -> str:
    """Bytes for people: 12 KB, 22.9 MB (decimal)."""
    if count < 1_000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1_000:.0f} KB"
    return f"{count / 1_000_000:.1f} MB" if count < 100_000_000 else f"{count / 1_000_000:,.0f} MB"


def share(value: float | None) -> str:
    """A share as a percentage; a dash where there is none."""
    return "-" if value is None else f"{100 * value:.1f}%"


def _mean(values: Sequence[float]) -> str:
    return share(sum(values) / len(values))


def _title(out: Console, text: str) -> None:
    out.print()
    out.print(Text(f"  {text}", style="bold"))


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)


def _show(out: Console, table: Table) -> None:
    out.print(Padding(table, (0, 0, 0, _MARGIN), expand=False))


def _line(out: Console, text: str, style: str = "") -> None:
    out.print(Padding(Text(text, style=style), (0, 0, 0, _MARGIN), expand=False))
