"""Calls out, outcomes back: the table of calls, joined to a link and to a clock.

Everything here happens on one event loop. One timer watches the nearest deadline of all calls; the link's runners
serve them all.
"""

import asyncio
import logging
import os
from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from enum import Enum

from aiokafka.errors import KafkaError

from manyheads.producers.answer import Answer, answer_to
from manyheads.producers.calls import PREFIX_BYTES, Call, CallTable, Dispatch, Outcome
from manyheads.producers.clock import Alarm, Clock
from manyheads.producers.collection import Collection
from manyheads.producers.connect import REFUSALS, described
from manyheads.producers.diagnosis import access_denied, expired, missing_topic, unreachable
from manyheads.producers.hedging import Hedger
from manyheads.producers.link import MakeLink
from manyheads.producers.rings import RingDirectory
from manyheads.producers.setup import Setup
from manyheads.producers.watch import CallWatch
from manyheads.topics.errors import BrokerError, ClientClosed, ErrorCode, InternalError, ManyheadsError, Overloaded
from manyheads.topics.headers import Headers
from manyheads.topics.messages import Reply
from manyheads.topics.names import Lane, RingName

_log = logging.getLogger(__name__)


class _State(Enum):
    NEW = "not open yet"
    OPENING = "being opened"
    OPEN = "open"
    CLOSED = "closed"


class Exchange:
    """One client's side of the pipeline."""

    def __init__(self, make_link: MakeLink, clock: Clock, setup: Setup) -> None:
        self.clock = clock
        self._setup = setup
        self.calls = CallTable(os.urandom(PREFIX_BYTES), setup.max_in_flight, setup.options.max_waiting)
        self._link = make_link(self.calls, self)
        self._watch = CallWatch(setup.lane, setup.metrics)
        budget = setup.options.hedge_budget if setup.lane is Lane.INTERACTIVE else 0.0
        self._hedger = Hedger(self.calls, clock, budget, self._link.wake)
        self._rings = RingDirectory(self._link.topics, setup.lane)
        self._state = _State.NEW
        self._pid: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Timeout | None = None
        self._opening_ended = asyncio.Event()
        self.reply_partition = 0
        """where replies to this client go, once it is open"""
        self._alarm: Alarm | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None
        self._emptied = asyncio.Event()

    async def open(self) -> None:
        """Connect, see that the ring is there, and be at the end of a reply partition before anything is sent.

        Raises:
            BrokerError, RoutingError: as ``Client.open``.
            ClientClosed: it was opened before, or closed meanwhile.
        """
        if self._state is not _State.NEW:
            raise ClientClosed(
                ErrorCode.CLIENT_CLOSED, f"a client is opened once and this one is {self._state.value}: make another"
            )
        self._state = _State.OPENING
        self._settle_here()
        try:
            async with asyncio.timeout(self._setup.timeout) as self._opening:
                await self._link.open()
                await self._rings.find(self._setup.ring)
                self.reply_partition = await self._link.attach()
            if self._state is not _State.OPENING:
                self.check_open()
        except BaseException as error:
            closed, self._state = self._state is _State.CLOSED, _State.CLOSED
            await self._link.close()
            self._loop = None  # nothing is left there
            if closed and isinstance(error, Exception):  # whatever close() made of what was under way
                raise ClientClosed(
                    ErrorCode.CLIENT_CLOSED, "the client was closed while it was being opened: make another"
                ) from error
            if isinstance(error, TimeoutError | KafkaError):
                raise self._no_connection(error, self._setup.timeout) from error
            raise
        finally:
            self._opening_ended.set()
        self._state = _State.OPEN
        self._tasks = [asyncio.create_task(runner) for runner in self._link.runners()]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)

    def _settle_here(self) -> None:
        # A client may be made before a fork and opened after it, in several children: then each has its own ids.
        self._pid = os.getpid()
        self._loop = asyncio.get_running_loop()
        self.calls.prefix = os.urandom(PREFIX_BYTES)

    def check_here(self) -> None:
        """Raises ClientClosed if calls cannot be made on the running event loop."""
        self.check_open()
        self._check_loop()

    def check_open(self) -> None:
        """Raises ClientClosed if calls cannot be made, on whatever event loop."""
        self._check_process()
        if self._state is not _State.OPEN:
            raise ClientClosed(
                ErrorCode.CLIENT_CLOSED, f"the client is {self._state.value}: use it within `async with Client(...)`"
            )

    def _check_process(self) -> None:
        if self._pid is not None and self._pid != os.getpid():
            raise ClientClosed(
                ErrorCode.CLIENT_CLOSED,
                f"this client was opened by process {self._pid} and this is its fork, {os.getpid()}: a fork takes no "
                "connections along, so open a client in each process, after the fork",
                opened_by=self._pid,
            )

    def _check_loop(self) -> None:
        # Its timers and connections are served by that loop alone: here, calls would wait for ever.
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            raise ClientClosed(
                ErrorCode.CLIENT_CLOSED,
                "a client belongs to the event loop that opened it, and this is another one: open and close a client "
                "in each event loop, or share a SyncClient",
            )

    def known_topic(self, ring: RingName) -> str | None:
        """The request topic of a ring that was found before."""
        return self._rings.known(ring)

    async def find_topic(self, ring: RingName, deadline: float) -> str:
        """The request topic of a ring, by asking the broker until ``deadline``.

        Raises:
            RoutingError: unknown_ring.
            BrokerError: topics_missing, broker_unreachable or access_denied.
        """
        limit = deadline - self.clock.now()
        try:
            async with asyncio.timeout(limit):
                topic = await self._rings.find(ring)
        except (TimeoutError, KafkaError) as error:
            raise self._no_connection(error, limit) from error
        self.check_here()
        return topic

    def send(self, dispatch: Dispatch) -> None:
        """Take calls on. The ``finish`` of each is called once, later, unless it is abandoned. Raises Overloaded."""
        self._watch.sends(dispatch)
        try:
            self.calls.open(dispatch)
        except Overloaded as error:
            for call in dispatch.calls:
                self._watch.ended(call, error, self.clock.now())
            raise
        self._emptied.clear()
        self._advance()

    def reply_offset(self) -> int:
        """An offset of the reply partition that no reply to what is sent from now on comes before."""
        return self._link.reply_offset()

    async def collect(self, collection: Collection) -> Answer:
        """The answer to a ticket. Raises what ``Client.answer`` raises."""
        self.check_here()
        try:
            return await collection.answer(self._link, self.clock)
        except KafkaError as error:
            raise self._no_connection(error, collection.timeout) from error

    def abandon(self, call: Call) -> None:
        """Nobody wants the outcome any more; nothing if there was one."""
        if self.calls.settle(call):
            self._watch.ended(call, None, self.clock.now())
            self._advance()

    async def close(self, limit: float) -> None:
        """Take no more calls, wait up to ``limit`` seconds for outcomes, give the rest ClientClosed, disconnect.

        Of several at one time the least patient says how long the others wait. What is being opened is given up.

        Raises:
            ClientClosed: another event loop opened it, and must close it.
        """
        if self._pid is not None and self._pid != os.getpid():
            self._state = _State.CLOSED
            return  # the connections are the parent's too: a word on them would confuse its broker
        if self._closing is None or not self._closing.done():
            self._check_loop()
        if self._state is _State.OPENING and self._opening is not None and not self._opening.expired():
            self._opening.reschedule(asyncio.get_running_loop().time())
        self._state = _State.CLOSED
        patience = self.clock.call_at(self.clock.now() + limit, self._emptied.set)
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)
        patience.cancel()

    async def _close(self) -> None:
        if self._opening is not None:
            await self._opening_ended.wait()  # open() itself takes down what it has built
        if len(self.calls):
            await self._emptied.wait()
        self._fail_all(
            ClientClosed(ErrorCode.CLIENT_CLOSED, "the client was closed before an answer came: send it again")
        )
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._alarm is not None:
            self._alarm.cancel()
        self._hedger.close()
        await self._link.close()

    def accepted(self, dispatch: Dispatch) -> None:
        """See :class:`manyheads.producers.link.LinkEvents`."""
        self.calls.accepted(dispatch)
        if dispatch.hedged:
            return
        self._watch.accepted(dispatch)
        self._hedger.accepted(dispatch)
        for call in dispatch.calls:
            if call.handed_over is not None and self.calls.settle(call):
                self._watch.handed_over(call, self.clock.now())
                call.handed_over()
                self._advance()

    def replied(self, correlation_id: bytes, value: bytes | None, headers: Headers = ()) -> None:
        """See :class:`manyheads.producers.link.LinkEvents`."""
        call = self.calls.match(correlation_id)
        if call is None:
            return
        self._hedger.answered(call.dispatch)
        others = call.dispatch.calls
        outcome = self._outcome(call, value)
        self._finish(call, outcome, headers)
        if isinstance(outcome, ManyheadsError) and outcome.code is ErrorCode.UNKNOWN_SCHEMA_VERSION:
            # A worker that knows nothing of records for several tenants tells the first of them alone.
            self._fail(others, outcome)
        self._advance()

    def refused(self, dispatch: Dispatch, reason: str) -> None:
        """See :class:`manyheads.producers.link.LinkEvents`."""
        self._fail(dispatch.calls, access_denied(self._link.connection.servers, dispatch.topic, reason))
        self._advance()

    def absent(self, topic: str, topics: frozenset[str]) -> None:
        """See :class:`manyheads.producers.link.LinkEvents`."""
        self._rings.forget(topic)
        for dispatch in self.calls.unacknowledged():
            if dispatch.topic == topic and dispatch.calls:
                error = missing_topic(topics, dispatch.calls[0].ring, self._setup.lane)
                assert error is not None  # as the topic is none of them
                self._fail(dispatch.calls, error)
        self._advance()

    def _outcome(self, call: Call, value: bytes | None) -> Outcome:
        latency_ms = (self.clock.now() - call.opened) * 1000
        try:
            reply = Reply.from_bytes(value)
            if reply.prediction is not None:
                return answer_to(call.tenant, call.text, reply.prediction, latency_ms)
        except ManyheadsError as error:
            return error
        assert reply.failure is not None  # a reply has one of the two
        return reply.failure.error()

    def _advance(self) -> None:
        """After every change of the table: send what is ready, watch the nearest deadline, say when all is done."""
        if self.calls.has_ready:
            self._link.wake()
        if not len(self.calls):
            self._emptied.set()
        due = self.calls.next_deadline()
        if due is None or (self._alarm is not None and self._alarm.when() <= due):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.clock.call_at(due, self._time_out)

    def _time_out(self) -> None:
        self._alarm = None
        connection = self._link.connection
        for call in self.calls.expire(self.clock.now()):
            self._finish(call, expired(call, connection, self._setup.max_in_flight))
        self._advance()

    def _no_connection(self, error: BaseException, seconds: float) -> BrokerError:
        trouble = described(error) if isinstance(error, KafkaError) else None
        if isinstance(error, REFUSALS):
            return access_denied(self._link.connection.servers, "its topics", trouble)
        return unreachable(replace(self._link.connection, trouble=trouble), seconds)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (defect := task.exception()) is None:
            return
        while isinstance(defect, BaseExceptionGroup):  # a runner's own tasks
            defect = defect.exceptions[0]
        _log.error("the client's own code failed, so it stops", exc_info=defect)
        self._state = _State.CLOSED
        self._fail_all(
            InternalError(
                ErrorCode.INTERNAL, f"the client itself failed ({type(defect).__name__}): report it, and open another"
            )
        )

    def _fail_all(self, error: ManyheadsError) -> None:
        for call in self.calls.settle_all():
            self._finish(call, copy(error))  # each raises its own, with its own traceback
        self._advance()

    def _fail(self, calls: Iterable[Call], error: ManyheadsError) -> None:
        for call in calls:
            if self.calls.settle(call):
                self._finish(call, copy(error))

    def _finish(self, call: Call, outcome: Outcome, headers: Headers = ()) -> None:
        self._watch.ended(call, outcome, self.clock.now(), headers)
        call.finish(outcome)
