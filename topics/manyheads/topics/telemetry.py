"""What a worker reports of itself, every two seconds, to :data:`manyheads.topics.names.TELEMETRY_TOPIC`.

So a dashboard or a command needs nothing but Kafka to see all workers. A report holds what happened since the one
before it: reports add up, and one that is lost takes only its own interval with it. Tenants are here, in bounded space,
and not among the labels of metrics.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_serializer, model_validator

from manyheads.topics.messages import Message, WireModel
from manyheads.topics.names import Cell, Lane, Ring, Tenant
from manyheads.topics.sketch import Sketch, SketchField

REPORT_INTERVAL_S = 2.0
"""How often a worker reports."""
MAX_REPORT_BYTES = 1024 * 1024
"""Bytes of one report."""
MAX_REPORTED_TENANTS = 5_000
"""Tenants of one lane in one report: more than an interval's records can be of. Beyond it only the lane counts them."""
MAX_REASON_CHARACTERS = 1_000
"""Characters of a sentence in a report."""
MAX_TENANT_SKETCHES = 1_000
"""Tenants of one lane in one report whose latency is in it, those with the most requests."""

Count = Annotated[int, Field(ge=0, lt=1 << 48)]
EpochMs = Annotated[int, Field(ge=0, lt=1 << 48)]
Code = Annotated[str, Field(max_length=64)]


class WorkerState(StrEnum):
    """How far a worker's life has come."""

    STARTING = "starting"
    READY = "ready"
    """its partitions are consumed from"""
    PREPARING = "preparing"
    """it was ready, and waits for the heads of partitions that it has been given"""
    DRAINING = "draining"
    STOPPED = "stopped"
    """its last report"""


class WorkerIdentity(WireModel):
    """Which worker. ``instance`` is its name among its peers; another ``pid`` under the same name is a restart."""

    instance: str = Field(max_length=100)
    host: str = Field(max_length=255)
    pid: Count
    stage: str = Field(max_length=64)
    """``encoder`` or ``head``"""
    ring: Ring
    cell: Cell | None = None
    package: str = Field(max_length=64)
    """the version of manyheads"""
    started_ms: EpochMs


class TenantCounts(WireModel):
    """One tenant's requests that were answered by this stage in the interval; on the wire a list.

    The encoder stage answers what it refuses, the head stage all else: the sum over both is every request once.
    """

    requests: Count
    errors: Count = 0
    """of them, those that were answered with an error"""
    total: SketchField | None = None
    """from the request's own timestamp to its answer; None beyond :data:`MAX_TENANT_SKETCHES`"""

    @model_validator(mode="before")
    @classmethod
    def _from_wire(cls, value: Any) -> Any:
        match value:
            case [requests, errors, *rest]:
                return {"requests": requests, "errors": errors, "total": rest[0] if rest else None}
        return value

    @model_serializer
    def to_wire(self) -> list[Any]:
        """The list on the wire."""
        counts: list[Any] = [self.requests, self.errors]
        return counts if self.total is None else [*counts, self.total.to_wire()]


class LaneReport(WireModel):
    """One lane of a worker: what it holds now, and what happened in the interval."""

    lane: Lane
    topic: str = Field(max_length=249)
    partitions: tuple[Count, ...] = ()
    """assigned to this worker"""
    preparing: tuple[Count, ...] = ()
    """of them, those that it does not consume from yet"""
    in_flight: Count = 0
    """records taken and not finished"""
    halted: str | None = Field(default=None, max_length=MAX_REASON_CHARACTERS)
    """why it takes nothing more, while the worker goes on with its other lanes; None if it has not halted"""
    outcomes: dict[Code, Count] = Field(default_factory=dict)
    """records finished, by ``ok`` or an error code"""
    dead_letters: dict[Code, Count] = Field(default_factory=dict)
    """records put on the dead-letter topic, by code"""
    batches: Count = 0
    """computes"""
    tokens: Count = 0
    """that the encoder read"""
    queue: SketchField = Field(default_factory=Sketch)
    """from a record's timestamp to its compute"""
    compute: SketchField = Field(default_factory=Sketch)
    """of one batch"""
    publish: SketchField = Field(default_factory=Sketch)
    """from publishing to the broker's acknowledgement"""
    total: SketchField = Field(default_factory=Sketch)
    """from the request's own timestamp until this stage was done with it"""
    tenants: dict[Tenant, TenantCounts] = Field(default_factory=dict)


class HeadsReport(WireModel):
    """The heads in a head worker's memory."""

    loaded: Count
    bytes: Count


class WorkerReport(Message):
    """All that a worker says at one moment."""

    LIMIT_BYTES: ClassVar[int] = MAX_REPORT_BYTES

    worker: WorkerIdentity
    state: WorkerState
    waits_for: str = Field(default="", max_length=MAX_REASON_CHARACTERS)
    """why it is not ready"""
    at_ms: EpochMs
    interval_ms: Count
    """since the report before, or since its start"""
    rss_bytes: Count
    heads: HeadsReport | None = None
    models: dict[str, str] = Field(default_factory=dict)
    """versions by name: an encoder worker's ``encoder`` and its ``space``"""
    lanes: tuple[LaneReport, ...] = ()
    registry_behind: Count | None = None
    """records of the registry that it has not read yet, where that is known"""

    @property
    def key(self) -> bytes:
        """The record key: a worker's reports stay in order."""
        return self.worker.instance.encode()


def errors_in(outcomes: Mapping[str, int]) -> int:
    """How many of the outcomes are errors."""
    return sum(count for outcome, count in outcomes.items() if outcome != OK)


OK = "ok"
"""The outcome of a record that did not fail; all others are error codes."""
