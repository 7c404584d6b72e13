"""One record's way through a stage: its ticket, and what is published for it."""

from dataclasses import dataclass, field
from enum import Enum, auto

from manyheads.infra.kafka.records import Outgoing, Record
from manyheads.infra.stage.offsets import PartitionProgress
from manyheads.infra.stage.work import Job
from manyheads.topics.errors import ManyheadsError
from manyheads.topics.headers import Envelope


class Purpose(Enum):
    """Why a record is published."""

    RESULT = auto()
    FAILURE_REPLY = auto()
    DEAD_LETTER = auto()


@dataclass(slots=True, eq=False)
class Ticket:
    """One taken record until it is finished: all that it led to is published and acknowledged."""

    record: Record
    progress: PartitionProgress
    envelope: Envelope | None = None
    error: ManyheadsError | None = None
    pending: int = 0
    """publications that are not acknowledged"""
    dead_lettered: bool = False
    run: int | None = None
    """the run of systemic failures that it belongs to"""


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
