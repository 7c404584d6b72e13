"""The client: one object that sends texts and hands back answers."""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from copy import copy
from functools import partial
from types import TracebackType
from typing import Any, Self

from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.producers.answer import Answer, PredictRequest, Result
from manyheads.producers.calls import Call, Finish, Outcome
from manyheads.producers.clock import Clock, LoopClock
from manyheads.producers.collection import Collection
from manyheads.producers.counts import Counts
from manyheads.producers.deadline import Deadline, checked_timeout
from manyheads.producers.drafting import Terms
from manyheads.producers.exchange import Exchange
from manyheads.producers.fanout import Gathering
from manyheads.producers.kafka_link import KafkaLink
from manyheads.producers.link import MakeLink
from manyheads.producers.metrics import ClientMetrics
from manyheads.producers.options import DEFAULT_OPTIONS, ClientOptions, checked_count
from manyheads.producers.setup import Setup
from manyheads.producers.stream import Requests, results_of
from manyheads.producers.ticket import TICKET_ID_BYTES, Ticket
from manyheads.topics import names
from manyheads.topics.errors import ManyheadsError
from manyheads.topics.limits import MAX_TARGETS
from manyheads.topics.names import Lane
from manyheads.topics.text import checked_text


class Client:
    """Asks tenants' heads what texts mean, over Kafka.

    Use it as an asynchronous context manager, and share one among all tasks of an event loop::

        async with Client("localhost:9092") as nlu:
            answer = await nlu.predict("acme-bank", "move 40 euros to my savings")

    Args:
        bootstrap_servers: brokers as ``host:port``, or whole settings. What is not given is read from the
            ``MANYHEADS_*`` environment variables.
        ring: the ring of calls that name none.
        lane: ``Lane.BATCH`` for reprocessing, which never delays interactive traffic.
        timeout: seconds that a call may take if it says nothing else, and that opening may take.
        max_in_flight: requests on their way at one time; further calls wait for a slot, within their deadlines.
        options: the rest.
        metrics: told of every call, such as a :class:`manyheads.producers.metrics.PrometheusMetrics`.

    Raises:
        InvalidSettings: the settings of Kafka are wrong; the message names the variable.
        InvalidRequest: invalid_name or invalid_argument.
    """

    def __init__(
        self,
        bootstrap_servers: str | KafkaSettings | None = None,
        *,
        ring: str = "en",
        lane: Lane = Lane.INTERACTIVE,
        timeout: float = 10.0,
        max_in_flight: int = 10_000,
        options: ClientOptions = DEFAULT_OPTIONS,
        metrics: ClientMetrics | None = None,
    ) -> None:
        setup = Setup.checked(
            ring=ring, lane=lane, timeout=timeout, max_in_flight=max_in_flight, options=options, metrics=metrics
        )
        settings = _kafka_settings(bootstrap_servers)
        self._prepare(setup, partial(KafkaLink, settings, options, setup.lane), LoopClock())

    def _prepare(self, setup: Setup, make_link: MakeLink, clock: Clock) -> None:
        self._setup = setup
        self._exchange = Exchange(make_link, clock, setup)

    @property
    def counts(self) -> Counts:
        """What this client has seen so far: calls, late and duplicate replies. For your metrics."""
        return self._exchange.calls.counts

    async def open(self) -> Self:
        """Connect; ``async with`` does it. A client is opened once.

        Raises:
            BrokerError: broker_unreachable within ``timeout``, access_denied or topics_missing.
            RoutingError: unknown_ring.
            ClientClosed: it was opened before, or is closed meanwhile.
        """
        await self._exchange.open()
        return self

    async def close(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - it ends the waiting, not the call
        """Take no more calls, wait for the answers still to come, disconnect; ``async with`` does it.

        Calls that have no answer after ``timeout`` seconds (None: ``options.close_timeout_s``) raise ClientClosed.
        May be called again, also meanwhile: 0 ends the waiting at once. An ``open`` that is under way is given up.

        Raises:
            ClientClosed: another event loop opened it, and must close it.
        """
        await self._exchange.close(self._setup.options.close_timeout_s if timeout is None else timeout)

    async def predict(
        self,
        tenant: str,
        text: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels with the request
        deadline_ms: int | None = None,
        ring: str | None = None,
        traceparent: str | None = None,
    ) -> Answer:
        """What ``text`` means to ``tenant``'s head.

        Cancelling it frees everything; an answer that still comes is ignored.

        Args:
            tenant: whose head answers.
            text: what to understand, at most 8,192 characters.
            timeout: seconds for all of it, a broker that cannot be reached included; None: the client's.
            deadline_ms: instead of ``timeout``, the time after which the answer is worthless, in milliseconds since
                the epoch. Pass on the one that you were given.
            ring: another ring than the client's.
            traceparent: W3C trace context; None: that of the active OpenTelemetry span, if there is one.

        Raises:
            InvalidRequest: the text, a name or an argument cannot be used; nothing was sent.
            DeadlineExceeded: no answer in time; the message says how far the request came and what to look at.
            BrokerError: broker_unreachable, access_denied or topics_missing.
            RoutingError: unknown_ring, unknown_tenant or no_active_head.
            Overloaded: too many calls wait for a slot.
            ClientClosed: the client is not open, was closed before the answer came, or was opened by another process
                or event loop.
            ArtifactError, WireError, InternalError: it failed on the way; the message says what to do.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        request = PredictRequest(tenant, text, ring, timeout, traceparent)
        call = await self._begin(request, lambda outcome: _resolve(future, outcome), self._setup.timeout, deadline_ms)
        try:
            return await future
        except asyncio.CancelledError:
            self._exchange.abandon(call)
            if future.done() and not future.cancelled():
                future.exception()  # it failed in the very moment of the cancellation
            raise

    async def predict_for(
        self,
        tenants: Sequence[str],
        text: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels with the request
        deadline_ms: int | None = None,
        ring: str | None = None,
        traceparent: str | None = None,
    ) -> tuple[Result, ...]:
        """What ``text`` means to the head of each of ``tenants``: sent once, encoded once.

        Args:
            tenants: whose heads answer. One record names up to 1,000 of them; more travel in several.
            text, timeout, deadline_ms, ring, traceparent: as for :meth:`predict`.

        Returns:
            One result for each tenant, in the order of ``tenants``, when the last is there: an answer, or an error that
            concerns this tenant, such as a name that is none, no_active_head, deadline_exceeded or overloaded.

        Raises:
            InvalidRequest, DeadlineExceeded: the text or an argument cannot be used; nothing was sent.
            BrokerError, RoutingError: there is no way to the ring.
            ClientClosed: the client is not open.
        """
        requests = [PredictRequest(tenant, text, ring, timeout, traceparent) for tenant in tenants]
        gathering = Gathering(requests)
        calls = await self._begin_for(requests, gathering, deadline_ms)
        try:
            return await gathering.results()
        finally:
            for call in calls:
                self._exchange.abandon(call)  # nothing where there is a result

    async def send(
        self,
        tenant: str,
        text: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels with the request
        deadline_ms: int | None = None,
        ring: str | None = None,
        traceparent: str | None = None,
    ) -> Ticket:
        """Send ``text`` and wait for no answer: whoever has the ticket reads it, in any process, by :meth:`answer`.

        Args:
            tenant, text, deadline_ms, ring, traceparent: as for :meth:`predict`.
            timeout: seconds until the answer is worthless; None: the client's.

        Returns:
            The ticket, once Kafka has the request. ``str(ticket)`` is it as a string, some 120 characters.

        Raises:
            As :meth:`predict`, but for what comes with the answer.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        name = names.tenant(tenant)
        request = PredictRequest(tenant, text, ring, timeout, traceparent)
        terms = await self._terms(request, self._setup.timeout, deadline_ms)
        exchange = self._exchange
        ticket = Ticket(
            correlation_id=os.urandom(TICKET_ID_BYTES),
            tenant=name,
            ring=terms.ring,
            lane=self._setup.lane,
            partition=exchange.reply_partition,
            offset=exchange.reply_offset(),
            sent_ms=exchange.clock.moment().now_ms,
            deadline_ms=terms.deadline_ms,
            characters=len(text),
        )
        call = terms.call(ticket.correlation_id, name, partial(_resolve, future))
        call.handed_over = partial(_give, future, ticket)
        exchange.send(terms.dispatch((call,), exchange.reply_partition))
        try:
            await future
        finally:
            exchange.abandon(call)  # nothing where it is done
        return ticket

    async def answer(
        self,
        ticket: Ticket | str,
        *,
        text: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it may be asked for again
    ) -> Answer:
        """The answer to what was sent by :meth:`send`, here or in another process.

        It may be read any number of times, until the reply topic deletes it (a day, as the catalogue has it).

        Args:
            ticket: the ticket, or its string.
            text: the text that was sent; None: the answer's entities have no text, only their places.
            timeout: seconds to wait for it; None: the client's.

        Raises:
            InvalidRequest: it is no ticket, or the text is another one.
            DeadlineExceeded: no answer. ``details["phase"]`` is ``pending`` if one may still come, ``accepted`` if none
                will, ``deleted`` if the reply topic has deleted what was written since.
            RoutingError, ArtifactError, WireError, InternalError: the answer is that error.
            BrokerError: access_denied.
            ClientClosed: the client is not open.
        """
        wanted = ticket if isinstance(ticket, Ticket) else Ticket.parse(ticket)
        seconds = self._setup.timeout if timeout is None else checked_timeout(timeout)
        return await self._exchange.collect(Collection(wanted, text, seconds))

    def predict_many(
        self, requests: Requests, *, in_flight: int = 256, ordered: bool = True, timeout: float | None = None
    ) -> AsyncGenerator[Result, None]:
        """One result for each request, an answer or an error; no error ends the iteration.

        Requests are taken from the iterable only as they can be sent. Leaving the loop early cancels the rest; where
        it must have happened by a certain line, use ``contextlib.aclosing``.

        Args:
            requests: any iterable, also an asynchronous one, of :class:`PredictRequest` or ``(tenant, text)``.
            in_flight: requests that were taken and whose results you do not have yet, at most.
            ordered: results in the order of the requests; False: as they come.
            timeout: seconds for each request, from when it is taken; None: the client's.

        Raises:
            InvalidRequest: an argument is wrong, or the iterable holds something else.
            ClientClosed: the client is not open, or was closed: after the results of what was in flight.
        """
        self._exchange.check_open()  # of any event loop: a SyncClient calls it from the thread of its caller
        seconds = self._setup.timeout if timeout is None else checked_timeout(timeout)

        async def begin(request: PredictRequest, finish: Finish) -> Call:
            return await self._begin(request, finish, seconds)

        size = checked_count("in_flight", in_flight)
        return results_of(requests, begin, self._exchange.abandon, in_flight=size, ordered=ordered)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close(None if error is None else 0.0)

    async def _begin(
        self, request: PredictRequest, finish: Finish, default_timeout: float, deadline_ms: int | None = None
    ) -> Call:
        tenant = names.tenant(request.tenant)
        terms = await self._terms(request, default_timeout, deadline_ms)
        exchange = self._exchange
        (correlation_id,) = exchange.calls.next_ids()
        call = terms.call(correlation_id, tenant, finish)
        exchange.send(terms.dispatch((call,), exchange.reply_partition))
        return call

    async def _begin_for(
        self, requests: Sequence[PredictRequest], gathering: Gathering, deadline_ms: int | None
    ) -> list[Call]:
        if not requests:
            return []
        terms = await self._terms(requests[0], self._setup.timeout, deadline_ms)
        exchange = self._exchange
        begun: list[Call] = []
        wanted: list[tuple[names.TenantName, Finish]] = []
        for index, request in enumerate(requests):
            finish = gathering.finisher(index)
            try:
                wanted.append((names.tenant(request.tenant), finish))
            except ManyheadsError as error:
                finish(error)
        for start in range(0, len(wanted), MAX_TARGETS):
            together = wanted[start : start + MAX_TARGETS]
            ids = exchange.calls.next_ids(len(together))
            calls = [terms.call(each, tenant, finish) for each, (tenant, finish) in zip(ids, together, strict=True)]
            try:
                exchange.send(terms.dispatch(calls, exchange.reply_partition))
            except ManyheadsError as error:
                for call in calls:
                    call.finish(copy(error))
            else:
                begun += calls
        return begun

    async def _terms(self, request: PredictRequest, default_timeout: float, deadline_ms: int | None) -> Terms:
        exchange = self._exchange
        exchange.check_here()
        moment = exchange.clock.moment()
        if deadline_ms is not None and request.timeout is None:
            deadline = Deadline.at_epoch_ms(deadline_ms, moment)
        else:
            deadline = Deadline.after(default_timeout if request.timeout is None else request.timeout, moment)
        ring = self._setup.ring if request.ring is None else names.ring(request.ring)
        return Terms(
            text=checked_text(request.text),
            ring=ring,
            topic=exchange.known_topic(ring) or await exchange.find_topic(ring, deadline.at),
            opened=moment.now,
            deadline=deadline.at,
            deadline_ms=deadline.at_ms,
            traceparent=request.traceparent,
        )


def _kafka_settings(given: str | KafkaSettings | None) -> KafkaSettings:
    match given:
        case KafkaSettings():
            return given
        case None:
            return load_settings(KafkaSettings)
        case _:
            return load_settings(KafkaSettings, bootstrap_servers=given)


def _give(future: asyncio.Future[Any], ticket: Ticket) -> None:
    if not future.done():
        future.set_result(ticket)


def _resolve(future: asyncio.Future[Answer], outcome: Outcome) -> None:
    if future.done():  # its caller is being cancelled
        return
    if isinstance(outcome, Answer):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
