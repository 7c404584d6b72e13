"""Whose traffic it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from manyheads.infra.dashboard import figures
from manyheads.infra.dashboard.model import Snapshot
from manyheads.infra.dashboard.sparkline import Line
from manyheads.infra.dashboard.views.measures import error_line, error_tone
from manyheads.infra.dashboard.views.parts import Figure, Notice, Tone
from manyheads.infra.dashboard.views.verdict import notices
from manyheads.infra.telemetry.aggregate import TenantFigures
from manyheads.topics.names import RingName, TenantName, embeddings_topic
from manyheads.topics.partitions import partition_of, tenant_keys
from manyheads.topics.registry import PlacementRecord

MOST_ROWS = 100

TenantKey = tuple[str, str]
"""ring and tenant"""


class Order(StrEnum):
    """What comes first."""

    TRAFFIC = "traffic"
    LATENCY = "latency"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class TenantRow:
    """One tenant."""

    key: TenantKey
    requests: str
    """of the 15 minutes"""
    share: str
    """of all requests"""
    p50: str
    p99: str
    errors: str
    tone: Tone
    """of the errors"""
    past: Figure
    """the requests of the 15 minutes, as a chart"""


@dataclass(frozen=True, slots=True)
class TenantsPage:
    """The page."""

    notices: tuple[Notice, ...]
    rows: tuple[TenantRow, ...]
    found: str
    """how many there are, and how many of them are shown"""
    empty: str
    """why there are no rows, if there are none"""


@dataclass(frozen=True, slots=True)
class TenantPage:
    """One tenant's page."""

    sentence: str
    notices: tuple[Notice, ...]
    tiles: tuple[tuple[str, Figure], ...]
    pairs: tuple[tuple[str, str], ...]


def tenants_page(
    snapshot: Snapshot, search: str, order: Order, requests: Callable[[str, str], Sequence[float]]
) -> TenantsPage:
    """The tenants whose ring or name has ``search``, with traffic or registered, ordered.

    Args:
        snapshot: what is known.
        search: a part of the ring and the name, with a slash between.
        order: what comes first.
        requests: of a ring's tenant over the last 15 minutes, the oldest first.
    """
    busy = {(each.ring, each.tenant): each for each in snapshot.traffic.tenants}
    known: dict[TenantKey, TenantFigures | None] = dict.fromkeys(_registered(snapshot)) | busy
    wanted = search.strip().lower()
    found = [key for key in known if wanted in "/".join(key)]
    found.sort(key=lambda key: (-_weight(known[key], order), key))
    total = sum(each.requests for each in busy.values())
    shown = found[:MOST_ROWS]
    return TenantsPage(
        notices=notices(snapshot),
        rows=tuple(_row(key, known[key], total, requests) for key in shown),
        found=_found(len(found), len(shown), len(known)),
        empty=_empty(search, len(known)),
    )


def tenant_page(snapshot: Snapshot, ring: RingName, tenant: TenantName, series: Sequence[TenantFigures]) -> TenantPage:
    """One tenant.

    Args:
        snapshot: what is known.
        ring: its ring.
        tenant: its name.
        series: its last 15 minutes, the oldest first.
    """
    whole = next((each for each in snapshot.traffic.tenants if (each.ring, each.tenant) == (ring, tenant)), None)
    placement = None if snapshot.registry is None else snapshot.registry.placement(ring, tenant)
    sentence = f"Ring {ring}"
    if placement is None and snapshot.registry is not None:
        sentence = f"It is not registered in ring {ring}; requests are answered unknown_tenant."
    elif whole is None:
        sentence = f"Ring {ring}; no request in the last 15 minutes."
    return TenantPage(
        sentence=sentence,
        notices=notices(snapshot),
        tiles=(
            ("Requests", _requests(whole, series)),
            ("p99", _latency(whole, series)),
            ("Errors", _errors(whole, series)),
        ),
        pairs=() if placement is None else _pairs(snapshot, placement),
    )


def _registered(snapshot: Snapshot) -> list[TenantKey]:
    registry = snapshot.registry
    if registry is None:
        return []
    return [(ring.ring, each.tenant) for ring in registry.rings() for each in registry.tenants(ring.ring)]


def _weight(found: TenantFigures | None, order: Order) -> float:
    if found is None:
        return -1.0
    match order:
        case Order.TRAFFIC:
            return found.requests
        case Order.LATENCY:
            return found.latency.p99 or 0.0
        case Order.ERRORS:
            return found.errors


def _row(
    key: TenantKey, found: TenantFigures | None, total: int, requests: Callable[[str, str], Sequence[float]]
) -> TenantRow:
    if found is None:
        unknown = figures.UNKNOWN
        return TenantRow(key, "0", unknown, unknown, unknown, unknown, Tone.CALM, Figure(unknown))
    return TenantRow(
        key=key,
        requests=figures.count(found.requests),
        share=figures.share(found.requests, total),
        p50=figures.milliseconds(found.latency.p50),
        p99=figures.milliseconds(found.latency.p99),
        errors=figures.share(found.errors, found.requests),
        tone=Tone.WARN if found.errors else Tone.PLAIN,
        past=Figure("", lines=(Line(requests(*key)),)),
    )


def _found(found: int, shown: int, known: int) -> str:
    of = f"{figures.count(found)} of {figures.count(known)}" if found < known else figures.count(known)
    text = f"{of} {'tenant' if known == 1 else 'tenants'}"
    return text if shown == found else f"{text}, the first {shown} shown"


def _empty(search: str, known: int) -> str:
    if known:
        return f"No tenant's name has “{search.strip()}” in it."
    return "No tenant is registered yet. Train a head with `manyheads train TENANT EXAMPLES`, and its tenant is here."


def _requests(whole: TenantFigures | None, series: Sequence[TenantFigures]) -> Figure:
    lines = (Line(tuple(each.rate for each in series)),)
    if whole is None:
        return Figure("0", "in 15 min", lines=lines)
    now = series[-1].rate if series else whole.rate
    return Figure(figures.rate(now), f"{figures.count(whole.requests)} in 15 min", lines=lines)


def _latency(whole: TenantFigures | None, series: Sequence[TenantFigures]) -> Figure:
    lines = (
        Line(tuple(each.latency.p99 for each in series)),
        Line(tuple(each.latency.p50 for each in series), "second"),
    )
    if whole is None or not whole.latency.count:
        return Figure(figures.UNKNOWN, lines=lines)
    return Figure(
        figures.milliseconds(whole.latency.p99), f"p50 {figures.milliseconds(whole.latency.p50)}", lines=lines
    )


def _errors(whole: TenantFigures | None, series: Sequence[TenantFigures]) -> Figure:
    tone = error_tone(0 if whole is None else whole.errors, series[-1].errors if series else 0)
    lines = (error_line([float(each.errors) for each in series], tone),)
    if whole is None:
        return Figure(figures.UNKNOWN, lines=lines, ceiling=1.0)
    note = f"{figures.count(whole.errors)} in 15 min" if whole.errors else "none in 15 min"
    return Figure(figures.share(whole.errors, whole.requests), note, tone, lines, 1.0)


def _pairs(snapshot: Snapshot, placement: PlacementRecord) -> tuple[tuple[str, str], ...]:
    pairs = [
        ("Cell", str(placement.cell)),
        ("Active head", placement.head or "none: every request is answered no_active_head"),
    ]
    head = None
    if snapshot.registry is not None and placement.head is not None:
        head = snapshot.registry.head(placement.ring, placement.tenant, placement.head)
    if head is not None:
        pairs += [("Reads", f"{head.view} of {head.space}"), ("Size of the head", figures.size(head.artifact.bytes))]
    pairs.append(("Embeddings", "transient: the tenant has opted out" if placement.transient else "kept"))
    topic = embeddings_topic(placement.ring, placement.cell, transient=placement.transient)
    states = {
        each.partition: each.state for group in snapshot.lag.groups for each in group.partitions if each.topic == topic
    }
    if states:
        keys = tenant_keys(placement.tenant, placement.spread)
        numbers = sorted({partition_of(key, len(states)) for key in keys})
        pairs.append(
            ("Partitions", ", ".join(f"{number} ({states[number]})" for number in numbers if number in states))
        )
    return tuple(pairs)
