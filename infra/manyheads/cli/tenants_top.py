"""``tenants top``: whose traffic it is, from the workers' reports."""

from dataclasses import dataclass

from manyheads.cli.catalogue import READ_S, Row, show
from manyheads.cli.settings import kafka_settings
from manyheads.infra.telemetry.aggregate import TenantFigures, TenantOrder
from manyheads.infra.telemetry.reports import ReportReader
from manyheads.topics.errors import BrokerError, ErrorCode
from manyheads.topics.names import ring as ring_name


@dataclass(frozen=True, slots=True)
class TopRequest:
    """What is asked for."""

    ring: str | None
    by: TenantOrder
    minutes: int
    limit: int


def run_tenants_top(request: TopRequest, bootstrap_servers: str | None, *, as_json: bool) -> None:
    """Show the top tenants. Raises ManyheadsError."""
    ring = None if request.ring is None else ring_name(request.ring)
    window_ms = request.minutes * 60_000
    settings = kafka_settings(bootstrap_servers)
    with ReportReader(settings, since_s=request.minutes * 60 + 60) as reader:
        if not reader.wait_until_read(READ_S):
            reason = reader.problem or f"the workers' reports were not read within {READ_S:g} s; try again"
            raise BrokerError(ErrorCode.BROKER_UNREACHABLE, reason, bootstrap_servers=settings.bootstrap_servers)
        found = reader.query(
            lambda reports, now: reports.tenants(now, window_ms, ring=ring, by=request.by, limit=request.limit)
        )
    show([_row(each) for each in found], as_json, f"no tenant's request was reported in {request.minutes} min")


def _row(figures: TenantFigures) -> Row:
    latency = figures.latency
    return {
        "ring": figures.ring,
        "tenant": figures.tenant,
        "requests": figures.requests,
        "per_s": round(figures.rate, 2),
        "errors": figures.errors,
        "p50_ms": _ms(latency.p50),
        "p90_ms": _ms(latency.p90),
        "p99_ms": _ms(latency.p99),
    }


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
