"""Calls out, outcomes back: the table of calls, joined to Kafka and to the event loop's clock.

Everything here happens on one event loop. One timer watches the nearest deadline of all calls; two tasks, one that
sends and one that reads replies, serve them all.
"""

import asyncio
import logging
import os
import secrets
from contextlib import suppress
from copy import copy
from enum import Enum

from aiokafka.errors import KafkaError

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.answer import answer_to
from manyheads.producers.calls import PREFIX_BYTES, Call, CallTable, Outcome
from manyheads.producers.connect import REFUSALS, described
from manyheads.producers.diagnosis import Connection, access_denied, expired, unreachable
from manyheads.producers.options import ClientOptions
from manyheads.producers.reader import ReplyReader
from manyheads.producers.rings import RingDirectory
from manyheads.producers.sender import RequestSender
from manyheads.topics.errors import BrokerError, ClientClosed, ErrorCode, InternalError, ManyheadsError
from manyheads.topics.headers import ReplyAddress
from manyheads.topics.messages import Reply
from manyheads.topics.names import REPLIES_TOPIC, Lane, RingName

_log = logging.getLogger(__name__)


class _State(Enum):
    NEW = "not open yet"
    OPENING = "being opened"
    OPEN = "open"
    CLOSED = "closed"


class Exchange:
    """One client's side of the pipeline."""

    def __init__(self, settings: KafkaSettings, options: ClientOptions, lane: Lane, max_in_flight: int) -> None:
        self._servers = settings.bootstrap_servers
        self._max_in_flight = max_in_flight
        self.calls = CallTable(os.urandom(PREFIX_BYTES), max_in_flight, options.max_waiting)
        self._sender = RequestSender(settings, options, self.calls, self._refused)
        self._reader = ReplyReader(settings, options, lane, self._replied)
        self._rings = RingDirectory(self._reader.topics, lane)
        self._state = _State.NEW
        self._partition = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None
        self._emptied = asyncio.Event()

    async def open(self, ring: RingName, timeout: float) -> None:  # noqa: ASYNC109 - the error names it
        """Connect, see that ``ring`` is there, and be at the end of a reply partition before anything is sent.

        Raises:
            BrokerError, RoutingError: as ``Client.open``.
            ClientClosed: it was opened before, or closed meanwhile.
        """
        if self._state is not _State.NEW:
            raise ClientClosed(
                ErrorCode.CLIENT_CLOSED, f"a client is opened once and this one is {self._state.value}: make another"
            )
        self._state = _State.OPENING
        try:
            async with asyncio.timeout(timeout):
                await self._reader.open()
                await self._rings.find(ring)
                await self._sender.open()
                self._partition = secrets.choice(await self._sender.partitions(REPLIES_TOPIC))
                await self._reader.attach(self._partition)
            if self._state is not _State.OPENING:
                self.check_open()
        except BaseException as error:
            self._state = _State.CLOSED
            await self._disconnect()
            if isinstance(error, TimeoutError | KafkaError):
                raise self._no_connection(error, timeout) from error
            raise
        self._state = _State.OPEN
        self._tasks = [asyncio.create_task(self._sender.run()), asyncio.create_task(self._reader.run())]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)

    def check_open(self) -> None:
        """Raises ClientClosed if calls cannot be made."""
        if self._state is not _State.OPEN:
            raise ClientClosed(
                ErrorCode.CLIENT_CLOSED, f"the client is {self._state.value}: use it within `async with Client(...)`"
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
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(deadline):
                topic = await self._rings.find(ring)
        except (TimeoutError, KafkaError) as error:
            raise self._no_connection(error, deadline - began) from error
        self.check_open()
        return topic

    def reply_address(self) -> ReplyAddress:
        """Where the reply to the next call goes."""
        return ReplyAddress(self.calls.next_id(), REPLIES_TOPIC, self._partition)

    def send(self, call: Call) -> None:
        """Take a call on. Its ``finish`` is called once, later, unless it is abandoned. Raises Overloaded."""
        self.calls.open(call)
        self._emptied.clear()
        self._advance()

    def abandon(self, call: Call) -> None:
        """Nobody wants the outcome any more; nothing if there was one."""
        if self.calls.settle(call):
            self._advance()

    async def close(self, limit: float) -> None:
        """Take no more calls, wait up to ``limit`` seconds for outcomes, give the rest ClientClosed, disconnect."""
        if self._closing is None:
            self._state = _State.CLOSED
            self._closing = asyncio.create_task(self._close(limit))
        await asyncio.shield(self._closing)

    async def _close(self, limit: float) -> None:
        if len(self.calls):
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._emptied.wait()
        self._fail_all(
            ClientClosed(ErrorCode.CLIENT_CLOSED, "the client was closed before an answer came: send it again")
        )
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._timer is not None:
            self._timer.cancel()
        await self._disconnect()

    async def _disconnect(self) -> None:
        await asyncio.gather(self._sender.close(), self._reader.close())

    def _replied(self, correlation_id: bytes, value: bytes | None) -> None:
        call = self.calls.match(correlation_id)
        if call is None:
            return
        latency_ms = (asyncio.get_running_loop().time() - call.opened) * 1000
        outcome: Outcome
        try:
            reply = Reply.from_bytes(value)
            if reply.prediction is not None:
                outcome = answer_to(call.tenant, call.text, reply.prediction, latency_ms)
            else:
                assert reply.failure is not None  # a reply has one of the two
                outcome = reply.failure.error()
        except ManyheadsError as error:
            outcome = error
        call.finish(outcome)
        self._advance()

    def _refused(self, call: Call, error: KafkaError) -> None:
        if self.calls.settle(call):
            call.finish(access_denied(self._servers, call.topic, described(error)))
            self._advance()

    def _advance(self) -> None:
        """After every change of the table: send what is ready, watch the nearest deadline, say when all is done."""
        if self.calls.has_ready:
            self._sender.wake()
        if not len(self.calls):
            self._emptied.set()
        due = self.calls.next_deadline()
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._time_out)

    def _time_out(self) -> None:
        self._timer = None
        connection = Connection(
            servers=self._servers,
            heard=max(self._sender.heard, self._reader.heard),
            trouble=self._sender.trouble or self._reader.trouble,
        )
        for call in self.calls.expire(asyncio.get_running_loop().time()):
            call.finish(expired(call, connection, self._max_in_flight))
        self._advance()

    def _no_connection(self, error: BaseException, seconds: float) -> BrokerError:
        trouble = described(error) if isinstance(error, KafkaError) else None
        if isinstance(error, REFUSALS):
            return access_denied(self._servers, "its topics", trouble)
        return unreachable(Connection(self._servers, heard=0.0, trouble=trouble), seconds)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (defect := task.exception()) is None:
            return
        _log.error("the client's own code failed, so it stops", exc_info=defect)
        self._state = _State.CLOSED
        self._fail_all(
            InternalError(
                ErrorCode.INTERNAL, f"the client itself failed ({type(defect).__name__}): report it, and open another"
            )
        )

    def _fail_all(self, error: ManyheadsError) -> None:
        for call in self.calls.settle_all():
            call.finish(copy(error))  # each raises its own, with its own traceback
        self._advance()
