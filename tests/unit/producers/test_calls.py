"""The table of calls: whatever happens, in whatever order, every call ends once and leaves nothing behind."""

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from manyheads.producers.calls import Call, CallTable, Dispatch, Phase
from manyheads.topics.errors import ErrorCode, Overloaded
from tests.unit.producers.calls import new_dispatch, opened_call

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

    @rule(timeout=st.floats(0.5, 20), count=st.integers(1, MAX_IN_FLIGHT + 1))
    def open(self, timeout: float, count: int) -> None:
        dispatch = new_dispatch(self.table, count, opened=self.now, timeout=timeout)
        calls, counts = dispatch.calls, self.table.counts
        fits = counts.in_flight + count <= MAX_IN_FLIGHT or not counts.in_flight
        admitted = (fits and not counts.waiting) or counts.waiting + count <= MAX_WAITING
        try:
            self.table.open(dispatch)
        except Overloaded:
            assert not admitted
            self.expected["overloaded"] += count
        else:
            assert admitted
            self.calls += calls

    @rule()
    def send(self) -> None:
        had = self.table.has_ready
        dispatch = self.table.next_ready(self.now)
        assert (dispatch is not None) is had
        if dispatch is not None:
            assert dispatch.phase is Phase.SENT
            assert any(not call.settled for call in dispatch.calls)
            assert dispatch.sent == self.now

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        call = self.one_of(data)
        if call.dispatch.sent is not None:
            self.table.accepted(call.dispatch)
            assert call.settled or call.phase is Phase.ACCEPTED

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def fail_to_send(self, data: st.DataObject) -> None:
        call = self.one_of(data)
        sent = call.phase is Phase.SENT and not call.settled
        self.table.returned(call.dispatch)
        assert not sent or call.phase is Phase.READY

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def reply(self, data: st.DataObject) -> None:
        call = self.one_of(data)
        if call.dispatch.sent is None:
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
        on_their_way = {call.dispatch for call in still_open if call not in waiting}
        assert counts.in_flight <= MAX_IN_FLIGHT or len(on_their_way) == 1
        assert counts.waiting <= MAX_WAITING
        assert not waiting or counts.in_flight + waiting[0].dispatch.unsettled > MAX_IN_FLIGHT
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


def sent_dispatch(table: CallTable, count: int = 1, timeout: float = 10.0) -> Dispatch:
    table.open(new_dispatch(table, count, timeout=timeout))
    dispatch = table.next_ready(1.0)
    assert dispatch is not None
    return dispatch


def sent_call(table: CallTable, timeout: float = 10.0) -> Call:
    (call,) = sent_dispatch(table, timeout=timeout).calls
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
        opened_call(table, timeout=1.0)
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
    waiting = opened_call(table)
    assert table.next_ready(2.0) is None
    with pytest.raises(Overloaded) as raised:
        opened_call(table)
    assert raised.value.code is ErrorCode.OVERLOADED
    assert raised.value.details == {"in_flight": 1, "waiting": 1}
    table.match(first.correlation_id)
    assert table.next_ready(3.0) is waiting.dispatch


def test_a_reply_may_come_before_the_acknowledgement() -> None:
    table = CallTable(PREFIX, 1, 0)
    call = sent_call(table)
    assert table.match(call.correlation_id) is call
    table.accepted(call.dispatch)
    table.returned(call.dispatch)
    assert (len(table), table.has_ready) == (0, False)


def test_an_acknowledgement_saves_a_dispatch_from_being_sent_again() -> None:
    table = CallTable(PREFIX, 1, 0)
    dispatch = sent_dispatch(table)
    assert table.unacknowledged() == (dispatch,)
    table.returned(dispatch)
    table.accepted(dispatch)
    assert table.next_ready(2.0) is None
    assert table.unacknowledged() == ()


def test_the_calls_of_one_record_are_sent_once_and_answered_one_by_one() -> None:
    table = CallTable(PREFIX, 10, 0)
    dispatch = sent_dispatch(table, 3)
    first, second, third = dispatch.calls
    assert table.next_ready(2.0) is None
    assert table.unacknowledged() == (dispatch,)
    assert table.match(second.correlation_id) is second
    assert table.settle(first)
    table.returned(dispatch)  # nobody knows whether it arrived, and the third still waits
    assert table.next_ready(3.0) is dispatch
    assert (table.counts.in_flight, third.settled) == (1, False)
    assert table.match(third.correlation_id) is third
    assert dispatch.calls == ()
    table.returned(dispatch)
    assert not table.has_ready


def test_many_calls_wait_until_there_is_room_for_all_and_nobody_overtakes_them() -> None:
    table = CallTable(PREFIX, 3, 10)
    alone, other = sent_call(table), sent_call(table)
    together = new_dispatch(table, 3)
    table.open(together)
    behind = opened_call(table)
    assert (table.counts.in_flight, table.counts.waiting) == (2, 4)
    table.match(alone.correlation_id)
    assert table.next_ready(1.0) is None
    table.match(other.correlation_id)
    assert table.next_ready(1.0) is together
    assert behind.phase is Phase.WAITING
    table.match(together.calls[0].correlation_id)
    assert table.next_ready(1.0) is behind.dispatch


def test_more_calls_in_one_record_than_slots_travel_alone() -> None:
    table = CallTable(PREFIX, 2, 10)
    alone = sent_call(table)
    together = new_dispatch(table, 5)
    table.open(together)
    assert table.next_ready(1.0) is None
    table.match(alone.correlation_id)
    assert table.next_ready(1.0) is together
    assert table.counts.in_flight == 5


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
