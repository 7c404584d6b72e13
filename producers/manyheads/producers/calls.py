"""The calls of one client, from admission to their one outcome. No I/O and no clock: the time is an argument.

A call waits for a slot, is ready, is sent, is accepted by the broker, and is settled: by a reply, by its deadline, by
its caller's cancellation or by the client's end. The first of these wins; whatever comes later is ignored and counted.
A settled call leaves nothing behind but, if it was sent, its id for a while, to know a late reply by.
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from manyheads.producers.answer import Answer
from manyheads.topics.errors import ErrorCode, ManyheadsError, Overloaded
from manyheads.topics.headers import Headers
from manyheads.topics.names import RingName, TenantName

PREFIX_BYTES = 8
_COUNTER_BYTES = 8
_REMEMBERED = 10_000
_STALE_DEADLINES = 1_000


class Phase(IntEnum):
    """How far a call has come."""

    WAITING = 0
    """for a slot"""
    READY = 1
    """has a slot, is not yet with the Kafka client"""
    SENT = 2
    """with the Kafka client, not yet acknowledged"""
    ACCEPTED = 3
    """acknowledged by the broker"""


Outcome = Answer | ManyheadsError
Finish = Callable[[Outcome], None]


@dataclass(slots=True, eq=False)
class Call:
    """One request on its way. Only :class:`CallTable` changes it."""

    correlation_id: bytes
    tenant: TenantName
    ring: RingName
    text: str
    topic: str
    value: bytes
    headers: Headers
    opened: float
    """seconds of the table's clock, as all times here"""
    deadline: float
    finish: Finish
    """takes the outcome from whoever settles the call; the table itself never calls it"""
    phase: Phase = Phase.WAITING
    sent: float | None = None
    """when it was last handed to the Kafka client"""
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """What a client has seen since it was opened."""

    waiting: int = 0
    """calls that wait for a slot, now"""
    in_flight: int = 0
    """calls that have a slot, now"""
    opened: int = 0
    """calls that were let in"""
    answered: int = 0
    """calls that got a reply, a prediction or an error"""
    expired: int = 0
    """calls whose deadline passed first"""
    overloaded: int = 0
    """calls that were not let in, because too many waited"""
    late_replies: int = 0
    """replies to calls that had expired or been cancelled"""
    duplicate_replies: int = 0
    """second replies to the same call"""
    foreign_replies: int = 0
    """replies to other clients on the same reply partition"""


class CallTable:
    """All open calls of one client.

    Args:
        prefix: eight random bytes that no other client has; every correlation id begins with them.
        max_in_flight: calls that have a slot at one time.
        max_waiting: calls that wait for a slot at one time.
    """

    def __init__(self, prefix: bytes, max_in_flight: int, max_waiting: int) -> None:
        assert len(prefix) == PREFIX_BYTES
        self._prefix = prefix
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        self._next_number = 0
        self._open: dict[bytes, Call] = {}
        self._waiting: OrderedDict[bytes, Call] = OrderedDict()
        self._ready: OrderedDict[bytes, Call] = OrderedDict()
        self._deadlines: list[tuple[float, bytes, Call]] = []
        self._unanswered: OrderedDict[bytes, None] = OrderedDict()
        self._seen: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def counts(self) -> Counts:
        """The counts as they are now."""
        waiting = len(self._waiting)
        in_flight = len(self._open) - waiting
        return Counts(waiting=waiting, in_flight=in_flight, opened=self._next_number, **self._seen)

    def next_id(self) -> bytes:
        """A correlation id that no other call has, of this client or another."""
        return self._prefix + self._next_number.to_bytes(_COUNTER_BYTES, "big")

    def open(self, call: Call) -> None:
        """Let a call with :meth:`next_id` in. Raises Overloaded if every slot is taken and too many wait for one."""
        assert call.correlation_id == self.next_id()
        if len(self._open) - len(self._waiting) < self._max_in_flight:
            call.phase = Phase.READY
            self._ready[call.correlation_id] = call
        elif len(self._waiting) < self._max_waiting:
            self._waiting[call.correlation_id] = call
        else:
            self._seen["overloaded"] += 1
            raise Overloaded(
                ErrorCode.OVERLOADED,
                f"{self._max_in_flight:,} requests are in flight and {self._max_waiting:,} wait for a slot: "
                "send slower, add workers, or raise max_in_flight",
                in_flight=self._max_in_flight,
                waiting=self._max_waiting,
            )
        self._next_number += 1
        self._open[call.correlation_id] = call
        heapq.heappush(self._deadlines, (call.deadline, call.correlation_id, call))

    def next_ready(self, now: float) -> Call | None:
        """The next call to hand to the Kafka client, which now counts as sent; None if there is none."""
        if not self._ready:
            return None
        _, call = self._ready.popitem(last=False)
        call.phase = Phase.SENT
        call.sent = now
        return call

    @property
    def has_ready(self) -> bool:
        """Whether :meth:`next_ready` has a call."""
        return bool(self._ready)

    def accepted(self, call: Call) -> None:
        """The broker acknowledged the call."""
        if not call.settled:
            self._ready.pop(call.correlation_id, None)
            call.phase = Phase.ACCEPTED

    def returned(self, call: Call) -> None:
        """The Kafka client failed to deliver the call, or lost count of it: it is ready to be sent again."""
        if not call.settled and call.phase is Phase.SENT:
            call.phase = Phase.READY
            self._ready[call.correlation_id] = call

    def unacknowledged(self) -> tuple[Call, ...]:
        """The calls that are with the Kafka client."""
        return tuple(call for call in self._open.values() if call.phase is Phase.SENT)

    def match(self, correlation_id: bytes) -> Call | None:
        """The call that a reply settles; None if the reply is late, a duplicate or somebody else's."""
        call = self._open.get(correlation_id)
        if call is not None:
            self._end(call)
            self._seen["answered"] += 1
            return call
        if not correlation_id.startswith(self._prefix):
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
        if call.sent is not None:
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
        # Those that wait go first, or they would be given the slots of the others on the way.
        due.sort(key=lambda call: call.phase)
        for call in due:
            self.settle(call)
        self._seen["expired"] += len(due)
        return tuple(due)

    def next_deadline(self) -> float | None:
        """When :meth:`expire` has something to do next."""
        while self._deadlines and self._deadlines[0][2].settled:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def settle_all(self) -> tuple[Call, ...]:
        """Every open call, settled."""
        calls = tuple(sorted(self._open.values(), key=lambda call: call.phase))
        for call in calls:
            self.settle(call)
        return calls

    def _end(self, call: Call) -> None:
        call.settled = True
        del self._open[call.correlation_id]
        self._waiting.pop(call.correlation_id, None)
        self._ready.pop(call.correlation_id, None)
        while self._waiting and len(self._open) - len(self._waiting) < self._max_in_flight:
            correlation_id, admitted = self._waiting.popitem(last=False)
            admitted.phase = Phase.READY
            self._ready[correlation_id] = admitted
        if len(self._deadlines) > 2 * len(self._open) + _STALE_DEADLINES:
            self._deadlines = [entry for entry in self._deadlines if not entry[2].settled]
            heapq.heapify(self._deadlines)
