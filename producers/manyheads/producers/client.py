"""The client: one object that sends texts and hands back answers."""

import asyncio
import time
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.producers.answer import Answer, PredictRequest, Result
from manyheads.producers.calls import Call, Counts, Finish, Outcome
from manyheads.producers.deadline import Clock, Deadline, checked_timeout
from manyheads.producers.exchange import Exchange
from manyheads.producers.options import DEFAULT_OPTIONS, ClientOptions, checked_count
from manyheads.producers.stream import Requests, results_of
from manyheads.producers.trace import active_traceparent
from manyheads.topics import names
from manyheads.topics.headers import Envelope
from manyheads.topics.messages import Request
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
    ) -> None:
        self._ring = names.ring(ring)
        self._timeout = checked_timeout(timeout)
        self._options = options
        self._exchange = Exchange(
            _kafka_settings(bootstrap_servers), options, Lane(lane), checked_count("max_in_flight", max_in_flight)
        )

    @property
    def counts(self) -> Counts:
        """What this client has seen so far: calls, late and duplicate replies. For your metrics."""
        return self._exchange.calls.counts

    async def open(self) -> Self:
        """Connect; ``async with`` does it. A client is opened once.

        Raises:
            BrokerError: broker_unreachable within ``timeout``, access_denied or topics_missing.
            RoutingError: unknown_ring.
            ClientClosed: it was opened before.
        """
        await self._exchange.open(self._ring, self._timeout)
        return self

    async def close(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - it ends the waiting, not the call
        """Take no more calls, wait for the answers still to come, disconnect; ``async with`` does it.

        Calls that have no answer after ``timeout`` seconds (None: ``options.close_timeout_s``) raise ClientClosed.
        May be called again, also meanwhile.
        """
        await self._exchange.close(self._options.close_timeout_s if timeout is None else timeout)

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
            ClientClosed: the client is not open, or was closed before the answer came.
            ArtifactError, WireError, InternalError: it failed on the way; the message says what to do.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        request = PredictRequest(tenant, text, ring, timeout, traceparent)
        call = await self._begin(request, lambda outcome: _resolve(future, outcome), self._timeout, deadline_ms)
        try:
            return await future
        except asyncio.CancelledError:
            self._exchange.abandon(call)
            if future.done() and not future.cancelled():
                future.exception()  # it failed in the very moment of the cancellation
            raise

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
        self._exchange.check_open()
        seconds = self._timeout if timeout is None else checked_timeout(timeout)

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
        exchange = self._exchange
        exchange.check_open()
        clock = Clock(asyncio.get_running_loop().time(), time.time_ns() // 1_000_000)
        if deadline_ms is not None and request.timeout is None:
            deadline = Deadline.at_epoch_ms(deadline_ms, clock)
        else:
            deadline = Deadline.after(default_timeout if request.timeout is None else request.timeout, clock)
        tenant = names.tenant(request.tenant)
        value = Request(text=checked_text(request.text)).to_bytes()
        ring = self._ring if request.ring is None else names.ring(request.ring)
        topic = exchange.known_topic(ring) or await exchange.find_topic(ring, deadline.at)
        reply = exchange.reply_address()
        traceparent = request.traceparent or active_traceparent()
        call = Call(
            correlation_id=reply.correlation_id,
            tenant=tenant,
            ring=ring,
            text=request.text,
            topic=topic,
            value=value,
            headers=Envelope(tenant, reply, deadline.at_ms, traceparent).to_headers(),
            opened=clock.now,
            deadline=deadline.at,
            finish=finish,
        )
        exchange.send(call)
        return call


def _kafka_settings(given: str | KafkaSettings | None) -> KafkaSettings:
    match given:
        case KafkaSettings():
            return given
        case None:
            return load_settings(KafkaSettings)
        case _:
            return load_settings(KafkaSettings, bootstrap_servers=given)


def _resolve(future: asyncio.Future[Answer], outcome: Outcome) -> None:
    if future.done():  # its caller is being cancelled
        return
    if isinstance(outcome, Answer):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
