"""One record's way through a stage: its tickets, one for each tenant that it is for, and what is published for them."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from manyheads.infra.kafka.records import Outgoing, Record
from manyheads.infra.stage.offsets import PartitionProgress
from manyheads.infra.stage.work import Job
from manyheads.topics.errors import ManyheadsError
from manyheads.topics.headers import Envelope
from manyheads.topics.telemetry import OK

if TYPE_CHECKING:
    from manyheads.infra.stage.tracing import RecordSpan


class Purpose(Enum):
    """Why a record is published."""

    RESULT = auto()
    FAILURE_REPLY = auto()
    DEAD_LETTER = auto()


@dataclass(slots=True, eq=False)
class Place:
    """One taken record's place in its partition, finished once all its tickets are."""

    progress: PartitionProgress
    offset: int
    open_tickets: int = 0

    def one_less(self) -> None:
        """One of the tickets is finished."""
        self.open_tickets -= 1
        if not self.open_tickets:
            self.progress.finish(self.offset)


@dataclass(slots=True, eq=False)
class Ticket:
    """A taken record, for one tenant, until it is finished: all that it led to is published and acknowledged."""

    record: Record
    place: Place
    nth: int = 0
    """which of the tenants that the record is for"""
    envelope: Envelope | None = None
    error: ManyheadsError | None = None
    pending: int = 0
    """publications that are not acknowledged"""
    dead_lettered: bool = False
    run: int | None = None
    """the run of systemic failures that it belongs to"""
    forwarded: bool = False
    """whether its result goes to the next stage, which answers it"""
    span: "RecordSpan | None" = None
    """where it is traced"""

    def finished(self, now: float) -> "Finished":
        """What to remember of it at ``now``, seconds of the loop's clock."""
        envelope = self.envelope
        return Finished(
            OK if self.error is None else self.error.code,
            None if envelope is None else envelope.tenant,
            None if envelope is None else envelope.requested_ms,
            self.error is not None or not self.forwarded,
            now,
            self.span,
        )


class Finished(NamedTuple):
    """A record that needs no more work here."""

    outcome: str
    """``ok`` or an error code"""
    tenant: str | None
    """None where its headers could not be read"""
    requested_ms: int | None
    """when its request was made, milliseconds since the epoch, if that is known"""
    answered: bool
    """whether the request ends here, rather than at the next stage"""
    at: float
    """when it was finished, seconds of the loop's clock"""
    span: "RecordSpan | None" = None
    """to be ended, where it is traced"""


@dataclass(slots=True, eq=False)
class Publication:
    """One record to publish for a ticket."""

    ticket: Ticket
    purpose: Purpose
    outgoing: Outgoing
    bare: bool = False
    """a dead letter without its record"""


@dataclass(slots=True)
class Taken:
    """What to do with records that were taken: compute the jobs, ``tickets`` beside them, and publish the rest."""

    jobs: list[Job] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    publications: list[Publication] = field(default_factory=list)
