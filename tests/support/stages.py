"""Stages whose outcome the record itself asks for, and requests that ask."""

from collections.abc import Callable, Iterator, Sequence

from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.stage.work import Answer, Forward, Job, Outcome
from manyheads.topics.errors import ErrorCode, InvalidRequest, WireError
from manyheads.topics.headers import Envelope, ReplyAddress
from manyheads.topics.names import tenant

ANSWER = b"answer"
FAIL = b"fail"
MALFORMED = b"malformed"
RAISE = b"raise"
FORWARD = b"forward"


class AskedStage:
    """Does what a record's value says: ``answer``, ``fail``, ``malformed``, ``raise``, else forwards it.

    Args:
        forward_to: where forwarded results go.
        on_process: called with each batch of jobs, before they are computed.
    """

    name = "encoder"

    def __init__(self, forward_to: str = "", on_process: Callable[[Sequence[Job]], None] | None = None) -> None:
        self.forward_to = forward_to
        self.on_process = on_process
        self.batches: list[list[Job]] = []
        self.assigned_partitions: set[int] = set()
        self.partition_count = 0
        self.prepared = True

    @property
    def jobs(self) -> list[Job]:
        """All that were computed."""
        return [job for batch in self.batches for job in batch]

    def process(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        self.batches.append(list(jobs))
        if self.on_process is not None:
            self.on_process(jobs)
        for index, job in enumerate(jobs):
            if job.record.value == RAISE:
                raise RuntimeError("the record asked for it")
            yield index, self._outcome(job)

    def assigned(self, topic: str, partitions: Sequence[int], partition_count: int) -> None:
        self.assigned_partitions |= set(partitions)
        self.partition_count = partition_count

    def revoked(self, topic: str, partitions: Sequence[int]) -> None:
        self.assigned_partitions -= set(partitions)

    def prepare(self, budget_s: float) -> bool:
        return self.prepared

    def _outcome(self, job: Job) -> Outcome:
        value = job.record.value or b""
        if value == FAIL:
            return InvalidRequest(ErrorCode.TEXT_EMPTY, "the record asked to fail")
        if value == MALFORMED:
            return WireError(ErrorCode.MALFORMED_MESSAGE, "the record asked to be malformed")
        if value == FORWARD:
            return Forward(self.forward_to, job.envelope.tenant.encode(), value)
        return Answer(value)


def request(
    topic: str,
    number: int,
    value: bytes = ANSWER,
    *,
    reply_to: str = "nlu.replies",
    deadline_ms: int | None = None,
    partition: int | None = None,
) -> Outgoing:
    """A request whose correlation id is its number."""
    envelope = Envelope(tenant("acme-bank"), ReplyAddress(b"%d" % number, reply_to, 0), deadline_ms)
    return Outgoing(topic, value, b"key-%d" % number, envelope.to_headers(), partition)
