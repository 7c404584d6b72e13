"""What a stage's compute sees: jobs in, outcomes out. No Kafka, no clock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from manyheads.infra.kafka.records import Record
from manyheads.topics.errors import ManyheadsError
from manyheads.topics.headers import Envelope

__all__ = ["Answer", "Forward", "Job", "Outcome", "Record", "Stage"]


@dataclass(frozen=True, slots=True)
class Job:
    """A record whose headers are sound and whose deadline has not passed; of one for several tenants, a job each."""

    record: Record
    envelope: Envelope
    queue_ms: float
    """from the record's timestamp until the stage took it up; never negative"""


@dataclass(frozen=True, slots=True)
class Forward:
    """The job's result for the next stage: the loop adds the envelope's headers."""

    topic: str
    key: bytes
    value: bytes
    tokens: int = 0
    """that the encoder read for it; 0 where it read the same text for another job already"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The job's result for its sender: the loop sends it to the envelope's reply address."""

    value: bytes


Outcome = Forward | Answer | ManyheadsError
"""An error goes to the sender as a failure reply and, with the record, to the dead-letter topic; an expired deadline
to the sender alone."""


class Stage(Protocol):
    """The compute of one worker. Called from one thread only."""

    @property
    def name(self) -> str:
        """``encoder`` or ``head``: the label of its metrics."""

    def process(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """Compute the jobs, yielding (index, outcome) as each is done, in any order, each index exactly once.

        One job's failure is its own outcome, never an exception. An exception that escapes is a defect: the loop
        gives ``internal`` to every job that has no outcome yet.
        """

    def assigned(self, topic: str, partitions: Sequence[int], partition_count: int) -> None:
        """These partitions, of ``partition_count``, are now this worker's. Returns at once; see :meth:`prepare`."""

    def revoked(self, topic: str, partitions: Sequence[int]) -> None:
        """These partitions are no longer this worker's."""

    def prepare(self, budget_s: float) -> bool:
        """Get ready for the assigned partitions for at most about ``budget_s`` seconds; True once all are ready.

        Called repeatedly between polls; the loop consumes from newly assigned partitions only after True. Also the
        moment to follow the registry.
        """
