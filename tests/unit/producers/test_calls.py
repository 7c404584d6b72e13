"""The table of calls: whatever happens, in whatever order, every call ends once and leaves nothing behind."""

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from manyheads.producers.calls import Call, CallTable, Phase
from manyheads.topics.errors import ErrorCode, Overloaded
from tests.unit.producers.calls import new_call

PREFIX = b"client-1"
MAX_IN_FLIGHT = 3
MAX_WAITING = 2


class AnyInterleaving(RuleBasedStateMachine):
    """Opens calls and lets everything happen to them that can; remembers who settled each."""

    def __init__(self) -> None:
        super().__init__()
        self.table = CallTable(PREFIX, MAX_IN_FLIGHT, MAX_WAITING)
        self.now = 100.0
        self.calls: list[Call] = []
        self.outcomes: Counter[bytes] = Counter()
        self.expected: Counter[str] = Counter()

    def settled(self, call: Call) -> None:
        self.outcomes[call.correlation_id] += 1

    def one_of(self, data: st.DataObject) -> Call:
        return data.draw(st.sampled_from(self.calls))

    @rule(timeout=st.floats(0.5, 20))
    def open(self, timeout: float) -> None:
        call = new_call(self.table, opened=self.now, timeout=timeout)
        full = len(self.table) == MAX_IN_FLIGHT + MAX_WAITING
        try:
            self.table.open(call)
        except Overloaded:
            assert full
            self.expected["overloaded"] += 1
        else:
            assert not full
            self.calls.append(call)

    @rule()
    def send(self) -> None:
        had = self.table.has_ready
        call = self.table.next_ready(self.now)
        assert (call is not None) is had
        if call is not None:
            assert call.phase is Phase.SENT
            assert not call.settled
            assert call.sent == self.now

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        call = self.one_of(data)
        if call.sent is not None:
            self.table.accepted(call)
            assert call.settled or call.phase is Phase.ACCEPTED

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def fail_to_send(self, data: st.DataObject) -> None:
        call = self.one_of(data)
        sent = call.phase is Phase.SENT and not call.settled
        self.table.returned(call)
        assert not sent or call.phase is Phase.READY

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def reply(self, data: st.DataObject) -> None:
        call = self.one_of(data)
        if call.sent is None:
            return
        open_before = not call.settled
        matched = self.table.match(call.correlation_id)
        assert matched is (call if open_before else None)
        if matched is not None:
            self.settled(matched)
            self.expected["answered"] += 1
        else:
            self.expected["ignored"] += 1

    @rule(correlation_id=st.binary(min_size=1, max_size=20).filter(lambda key: not key.startswith(PREFIX)))
    def foreign_reply(self, correlation_id: bytes) -> None:
        assert self.table.match(correlation_id) is None
        self.expected["foreign_replies"] += 1

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        call = self.one_of(data)
        was_open = not call.settled
        assert self.table.settle(call) is was_open
        if was_open:
            self.settled(call)

    @rule(seconds=st.floats(0, 15))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for call in self.table.expire(self.now):
            assert call.deadline <= self.now
            self.settled(call)
            self.expected["expired"] += 1
        assert all(call.settled for call in self.calls if call.deadline <= self.now)

    @invariant()
    def one_outcome_each(self) -> None:
        for call in self.calls:
            assert self.outcomes[call.correlation_id] == int(call.settled)

    @invariant()
    def slots_are_kept_and_used(self) -> None:
        still_open = [call for call in self.calls if not call.settled]
        waiting = [call for call in still_open if call.phase is Phase.WAITING]
        counts = self.table.counts
        assert len(self.table) == len(still_open)
        assert (counts.waiting, counts.in_flight) == (len(waiting), len(still_open) - len(waiting))
        assert counts.in_flight <= MAX_IN_FLIGHT
        assert counts.waiting <= MAX_WAITING
        assert not waiting or counts.in_flight == MAX_IN_FLIGHT
        # Who came first is served first: those that wait are the last that came.
        assert waiting == still_open[len(still_open) - len(waiting) :]

    @invariant()
    def counts_add_up(self) -> None:
        counts = self.table.counts
        assert counts.opened == len(self.calls)
        assert counts.answered == self.expected["answered"]
        assert counts.expired == self.expected["expired"]
        assert counts.overloaded == self.expected["overloaded"]
        assert counts.foreign_replies == self.expected["foreign_replies"]
        assert counts.late_replies + counts.duplicate_replies == self.expected["ignored"]

    @invariant()
    def the_next_deadline_is_the_nearest(self) -> None:
        deadlines = [call.deadline for call in self.calls if not call.settled]
        assert self.table.next_deadline() == min(deadlines, default=None)

    def teardown(self) -> None:
        for call in self.table.settle_all():
            self.settled(call)
        self.one_outcome_each()
        assert all(call.settled for call in self.calls)
        assert len(self.table) == 0
        assert not self.table.has_ready
        assert self.table.next_deadline() is None
        assert self.table.unacknowledged() == ()


TestAnyInterleaving = AnyInterleaving.TestCase


def sent_call(table: CallTable, timeout: float = 10.0) -> Call:
    table.open(new_call(table, timeout=timeout))
    call = table.next_ready(1.0)
    assert call is not None
    return call


def test_ids_are_sixteen_bytes_and_never_repeat() -> None:
    table = CallTable(PREFIX, 100, 0)
    ids = {sent_call(table).correlation_id for _ in range(100)}
    assert len(ids) == 100
    assert {len(each) for each in ids} == {16}


def test_a_second_reply_is_a_duplicate_and_a_reply_after_the_deadline_is_late() -> None:
    table = CallTable(PREFIX, 10, 0)
    answered, expired = sent_call(table, timeout=9.0), sent_call(table, timeout=1.0)
    assert table.match(answered.correlation_id) is answered
    assert table.match(answered.correlation_id) is None
    assert table.expire(1.0) == (expired,)
    assert table.match(expired.correlation_id) is None
    counts = table.counts
    assert (counts.duplicate_replies, counts.late_replies, counts.foreign_replies) == (1, 1, 0)


def test_calls_that_expire_together_say_how_far_each_came() -> None:
    table = CallTable(PREFIX, 2, 2)
    for _ in range(4):
        table.open(new_call(table, timeout=1.0))
    first = table.next_ready(0.1)
    assert first is not None
    table.accepted(first)
    phases = Counter(call.phase for call in table.expire(1.0))
    # Nobody who waited got the slot of another that expired in the same moment.
    assert phases == {Phase.ACCEPTED: 1, Phase.READY: 1, Phase.WAITING: 2}
    assert not table.has_ready


def test_what_waits_is_let_in_when_a_slot_comes_free() -> None:
    table = CallTable(PREFIX, 1, 1)
    first = sent_call(table)
    waiting = new_call(table)
    table.open(waiting)
    assert table.next_ready(2.0) is None
    with pytest.raises(Overloaded) as raised:
        table.open(new_call(table))
    assert raised.value.code is ErrorCode.OVERLOADED
    assert raised.value.details == {"in_flight": 1, "waiting": 1}
    table.match(first.correlation_id)
    assert table.next_ready(3.0) is waiting


def test_a_reply_may_come_before_the_acknowledgement() -> None:
    table = CallTable(PREFIX, 1, 0)
    call = sent_call(table)
    assert table.match(call.correlation_id) is call
    table.accepted(call)
    table.returned(call)
    assert (len(table), table.has_ready) == (0, False)


def test_an_acknowledgement_saves_a_call_from_being_sent_again() -> None:
    table = CallTable(PREFIX, 1, 0)
    call = sent_call(table)
    assert table.unacknowledged() == (call,)
    table.returned(call)
    table.accepted(call)
    assert table.next_ready(2.0) is None
    assert table.unacknowledged() == ()


def test_deadlines_of_settled_calls_do_not_pile_up() -> None:
    table = CallTable(PREFIX, 10, 0)
    for _ in range(5_000):
        table.match(sent_call(table, timeout=1e6).correlation_id)
    assert len(table._deadlines) <= 1_001


def test_the_ids_of_abandoned_calls_are_forgotten_in_the_end() -> None:
    table = CallTable(PREFIX, 10, 0)
    first = sent_call(table)
    table.settle(first)
    for _ in range(10_000):
        table.settle(sent_call(table))
    table.match(first.correlation_id)
    assert table.counts.late_replies == 0
