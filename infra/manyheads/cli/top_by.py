"""What top tenants are the top by; known before what ranks them is imported."""

from enum import StrEnum


class TopBy(StrEnum):
    """The names of :class:`manyheads.infra.telemetry.aggregate.TenantOrder`."""

    REQUESTS = "requests"
    ERRORS = "errors"
    LATENCY = "latency"
