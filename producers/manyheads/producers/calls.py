"""The calls of one client, from admission to their one outcome. No I/O and no clock: the time is an argument.

A call is one answer that somebody waits for; a dispatch is the one record that asks for it, or, where one text goes to
many tenants, for several. A dispatch waits for its slots, is ready, is sent and is accepted by the broker; each of its
calls is settled: by a reply, by its deadline, by its caller's cancellation or by the client's end. The first of these
wins; whatever comes later is ignored and counted. A settled call leaves nothing behind but, if it was sent, its id for
a while, to know a late reply by.
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from manyheads.producers.answer import Answer
from manyheads.producers.counts import Counts
from manyheads.topics.errors import ErrorCode, ManyheadsError, Overloaded
from manyheads.topics.headers import Headers
from manyheads.topics.names import RingName, TenantName

if TYPE_CHECKING:
    from manyheads.producers.spans import SendSpan

PREFIX_BYTES = 8
_COUNTER_BYTES = 8
_REMEMBERED = 10_000
_STALE_DEADLINES = 1_000


class Phase(IntEnum):
    """How far a dispatch has come."""

    WAITING = 0
    """for slots"""
    READY = 1
    """has its slots, is not yet with the Kafka client"""
    SENT = 2
    """with the Kafka client, not yet acknowledged"""
    ACCEPTED = 3
    """acknowledged by the broker"""


Outcome = Answer | ManyheadsError
Finish = Callable[[Outcome], None]


@dataclass(slots=True, eq=False)
class Call:
    """One answer that somebody waits for. Only :class:`CallTable` changes it."""

    correlation_id: bytes
    tenant: TenantName
    ring: RingName
    text: str
    opened: float
    """seconds of the table's clock, as all times here"""
    deadline: float
    finish: Finish
    """takes the outcome from whoever settles the call; the table itself never calls it"""
    dispatch: "Dispatch" = field(init=False, repr=False)
    handed_over: Callable[[], None] | None = None
    """told that the broker has the request, where nobody waits here for more: the answer is for a ticket's holder"""
    settled: bool = False

    @property
    def phase(self) -> Phase:
        """How far it has come."""
        return self.dispatch.phase


@dataclass(slots=True, eq=False)
class Dispatch:
    """One record on its way, and the calls that it makes: one, or one for each of its tenants.

    Only :class:`CallTable` changes it.
    """

    topic: str
    value: bytes
    headers: Headers
    calls: tuple[Call, ...]
    """all of them until the last is settled, none from then on"""
    phase: Phase = Phase.WAITING
    sent: float | None = None
    """when it was last handed to the Kafka client, seconds of the table's clock"""
    partition: int | None = None
    """of the topic, once the broker has it"""
    hedged: bool = False
    """whether it was sent a second time, beside the first"""
    unsettled: int = 0
    """calls without an outcome, once it is open"""
    span: "SendSpan | None" = None
    """where it is traced"""

    def __post_init__(self) -> None:
        for call in self.calls:
            call.dispatch = self


class CallTable:
    """All open calls of one client.

    Args:
        prefix: eight random bytes that no other client has; every correlation id begins with them.
        max_in_flight: calls that have a slot at one time. A dispatch of more calls than that travels alone.
        max_waiting: calls that wait for a slot at one time.
    """

    def __init__(self, prefix: bytes, max_in_flight: int, max_waiting: int) -> None:
        assert len(prefix) == PREFIX_BYTES
        self.prefix = prefix
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        self._next_number = 0
        self._open: dict[bytes, Call] = {}
        self._waiting: OrderedDict[Dispatch, None] = OrderedDict()
        self._waiting_calls = 0
        self._ready: OrderedDict[Dispatch, None] = OrderedDict()
        self._deadlines: list[tuple[float, bytes, Call]] = []
        self._unanswered: OrderedDict[bytes, None] = OrderedDict()
        self._seen: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def counts(self) -> Counts:
        """The counts as they are now."""
        return Counts(
            waiting=self._waiting_calls,
            in_flight=len(self._open) - self._waiting_calls,
            opened=self._next_number,
            **self._seen,
        )

    def next_ids(self, count: int = 1) -> tuple[bytes, ...]:
        """The correlation ids of the next calls; no other call has them, of this client or another."""
        first = self._next_number
        return tuple(self.prefix + number.to_bytes(_COUNTER_BYTES, "big") for number in range(first, first + count))

    def open(self, dispatch: Dispatch) -> None:
        """Let a dispatch in whose calls have :meth:`next_ids`. Raises Overloaded if too many wait for a slot."""
        calls = dispatch.calls
        assert calls[0].handed_over is not None or calls[0].correlation_id == self.next_ids()[0]
        if not self._waiting and self._have_room_for(len(calls)):
            dispatch.phase = Phase.READY
            self._ready[dispatch] = None
        elif self._waiting_calls + len(calls) <= self._max_waiting:
            self._waiting[dispatch] = None
            self._waiting_calls += len(calls)
        else:
            self._seen["overloaded"] += len(calls)
            raise Overloaded(
                ErrorCode.OVERLOADED,
                f"{self._max_in_flight:,} requests are in flight and {self._max_waiting:,} may wait for a slot: "
                "send slower, add workers, or raise max_in_flight",
                in_flight=self._max_in_flight,
                waiting=self._waiting_calls,
            )
        self._next_number += len(calls)
        dispatch.unsettled = len(calls)
        for call in calls:
            self._open[call.correlation_id] = call
            heapq.heappush(self._deadlines, (call.deadline, call.correlation_id, call))

    def next_ready(self, now: float) -> Dispatch | None:
        """The next dispatch to hand to the Kafka client, which now counts as sent; None if there is none."""
        if not self._ready:
            return None
        dispatch, _ = self._ready.popitem(last=False)
        if not dispatch.hedged:
            dispatch.phase = Phase.SENT
            dispatch.sent = now
        return dispatch

    @property
    def has_ready(self) -> bool:
        """Whether :meth:`next_ready` has a dispatch."""
        return bool(self._ready)

    def accepted(self, dispatch: Dispatch) -> None:
        """The broker acknowledged the dispatch."""
        if dispatch.unsettled:
            self._ready.pop(dispatch, None)
            dispatch.phase = Phase.ACCEPTED

    def hedge(self, dispatch: Dispatch) -> None:
        """Send once more what the broker has: its first reply wins. What happens to the second send changes nothing."""
        assert dispatch.phase is Phase.ACCEPTED
        if dispatch.unsettled and not dispatch.hedged:
            dispatch.hedged = True
            self._ready[dispatch] = None
            self._seen["hedged"] += 1

    def returned(self, dispatch: Dispatch) -> None:
        """The Kafka client failed to deliver the dispatch, or lost count of it: it is ready to be sent again."""
        if dispatch.unsettled and dispatch.phase is Phase.SENT:
            dispatch.phase = Phase.READY
            self._ready[dispatch] = None

    def unacknowledged(self) -> tuple[Dispatch, ...]:
        """What is with the Kafka client."""
        return tuple(dict.fromkeys(call.dispatch for call in self._open.values() if call.phase is Phase.SENT))

    def match(self, correlation_id: bytes) -> Call | None:
        """The call that a reply settles; None if the reply is late, a duplicate or somebody else's."""
        call = self._open.get(correlation_id)
        if call is not None:
            self._end(call)
            self._seen["answered"] += 1
            return call
        if not correlation_id.startswith(self.prefix):
            self._seen["foreign_replies"] += 1
        elif correlation_id in self._unanswered:
            del self._unanswered[correlation_id]
            self._seen["late_replies"] += 1
        else:
            self._seen["duplicate_replies"] += 1
        return None

    def settle(self, call: Call) -> bool:
        """End a call without a reply and give its slot to the next that waits; False if it had ended before."""
        if call.settled:
            return False
        self._end(call)
        if call.dispatch.sent is not None and call.handed_over is None:
            self._unanswered[call.correlation_id] = None
            if len(self._unanswered) > _REMEMBERED:
                self._unanswered.popitem(last=False)
        return True

    def expire(self, now: float) -> tuple[Call, ...]:
        """The calls whose deadline has passed, settled. Their phase tells how far they came."""
        due: list[Call] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, call = heapq.heappop(self._deadlines)
            if not call.settled:
                due.append(call)
        self._settle_in_order(due)
        self._seen["expired"] += len(due)
        return tuple(due)

    def next_deadline(self) -> float | None:
        """When :meth:`expire` has something to do next."""
        while self._deadlines and self._deadlines[0][2].settled:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def settle_all(self) -> tuple[Call, ...]:
        """Every open call, settled."""
        calls = list(self._open.values())
        self._settle_in_order(calls)
        return tuple(calls)

    def _settle_in_order(self, calls: list[Call]) -> None:
        # Those that wait go first, or they would be given the slots of the others on the way.
        calls.sort(key=lambda call: call.phase)
        for call in calls:
            self.settle(call)

    def _have_room_for(self, calls: int) -> bool:
        in_flight = len(self._open) - self._waiting_calls
        return in_flight + calls <= self._max_in_flight or not in_flight

    def _end(self, call: Call) -> None:
        call.settled = True
        del self._open[call.correlation_id]
        dispatch = call.dispatch
        dispatch.unsettled -= 1
        if dispatch.phase is Phase.WAITING:
            self._waiting_calls -= 1
        if not dispatch.unsettled:
            dispatch.calls = ()  # or each would keep the other until the garbage collector comes by
            self._waiting.pop(dispatch, None)
            self._ready.pop(dispatch, None)
        while self._waiting and self._have_room_for(next(iter(self._waiting)).unsettled):
            admitted, _ = self._waiting.popitem(last=False)
            self._waiting_calls -= admitted.unsettled
            admitted.phase = Phase.READY
            self._ready[admitted] = None
        if len(self._deadlines) > 2 * len(self._open) + _STALE_DEADLINES:
            self._deadlines = [entry for entry in self._deadlines if not entry[2].settled]
            heapq.heapify(self._deadlines)
