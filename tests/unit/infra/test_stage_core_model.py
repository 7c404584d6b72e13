"""Whatever happens in whatever order, a commit never passes a record that is not done for."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from manyheads.infra.kafka.records import Record, TopicPartition
from manyheads.infra.kafka.transport import PublishFailure
from manyheads.infra.stage.core import LaneCore
from manyheads.infra.stage.halting import HaltPolicy
from manyheads.infra.stage.tickets import Publication, Purpose, Ticket
from manyheads.infra.stage.work import Answer, Forward
from manyheads.topics.errors import ErrorCode, InvalidRequest, WireError
from manyheads.topics.headers import Envelope, ReplyAddress, Target
from manyheads.topics.names import tenant

PARTITIONS = [TopicPartition("nlu.en.requests", number) for number in range(2)]
OUTCOMES = (
    Forward("nlu.en.c0.embeddings", b"acme", b"x"),
    Answer(b"x"),
    InvalidRequest(ErrorCode.TEXT_EMPTY, "empty"),
    WireError(ErrorCode.MALFORMED_MESSAGE, "malformed"),
)


@dataclass
class _Log:
    """One partition as the outside world sees it."""

    next_offset: int = 0
    done: set[int] = field(default_factory=set)
    """offsets whose results or dead letters the broker acknowledged, for all tenants"""
    open: dict[int, set[int]] = field(default_factory=dict)
    """which tenants of each offset still have none"""
    committed: int = 0


class Lane(RuleBasedStateMachine):
    tickets = Bundle("tickets")
    publications = Bundle("publications")

    def __init__(self) -> None:
        super().__init__()
        self.core = LaneCore(HaltPolicy(window=1_000, minimum=1_000, share=1.0), 1e9)
        self.core.assign(PARTITIONS)
        self.logs = {at: _Log() for at in PARTITIONS}
        self.clock = 0.0

    @rule(target=tickets, at=st.sampled_from(PARTITIONS), gap=st.integers(0, 2), further=st.integers(0, 2))
    def take(self, at: TopicPartition, gap: int, further: int) -> MultipleResults[Ticket]:
        log = self.logs[at]
        offset = log.next_offset + gap
        log.next_offset = offset + 1
        others = tuple(Target(tenant("shop"), b"%d" % number) for number in range(further))
        headers = Envelope(tenant("acme"), ReplyAddress(b"1", "nlu.replies"), further=others).to_headers()
        taken = self.core.take([Record(*at, offset, 0, None, b"v", headers)], 0)
        log.done.update(range(offset - gap, offset))
        assert len(taken.tickets) == further + 1
        log.open[offset] = set(range(further + 1))
        return multiple(*taken.tickets)

    @rule(target=publications, ticket=consumes(tickets), outcome=st.sampled_from(OUTCOMES))
    def settle(self, ticket: Ticket, outcome: Forward | Answer | InvalidRequest | WireError) -> list[Publication]:
        return self.core.settle(ticket, outcome)

    @precondition(lambda self: self.core.unfinished)
    @rule(batch=consumes(publications), keep=st.integers(0, 2), target=publications)
    def acknowledge(self, batch: list[Publication], keep: int) -> list[Publication]:
        for publication in batch[keep:]:
            if publication.purpose is not Purpose.FAILURE_REPLY:
                ticket, record = publication.ticket, publication.ticket.record
                log = self.logs[TopicPartition(record.topic, record.partition)]
                log.open[record.offset].discard(ticket.nth)
                if not log.open[record.offset]:
                    log.done.add(record.offset)
            self.core.acknowledged(publication, self.clock)
        return batch[:keep]

    @rule(batch=consumes(publications), failure=st.sampled_from(PublishFailure), target=publications)
    def fail(self, batch: list[Publication], failure: PublishFailure) -> list[Publication]:
        again: list[Publication] = []
        for publication in batch:
            again += self.core.failed(publication, failure, self.clock)
        return again

    @rule(target=publications)
    def retry(self) -> list[Publication]:
        return self.core.retries()

    @rule(seconds=st.sampled_from([1.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.clock += seconds
        self.core.release(self.clock)

    @rule(arrives=st.booleans())
    def commit(self, arrives: bool) -> None:
        offsets = self.core.to_commit()
        self.core.commit_requested(offsets)
        if arrives:
            for at, offset in offsets.items():
                self.logs[at].committed = offset
        else:
            self.core.commit_refused(offsets)

    @rule(at=st.sampled_from(PARTITIONS))
    def hand_over_and_get_back(self, at: TopicPartition) -> None:
        """What was not committed is taken again, by whoever has the partition then."""
        self.core.forget([at])
        self.core.assign([at])
        log = self.logs[at]
        log.next_offset = log.committed
        log.done = set(range(log.committed))

    @invariant()
    def nothing_unfinished_is_committed(self) -> None:
        for at, offset in self.core.to_commit().items():
            assert set(range(offset)) <= self.logs[at].done
        for log in self.logs.values():
            assert set(range(log.committed)) <= log.done


TestLane = Lane.TestCase
TestLane.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
