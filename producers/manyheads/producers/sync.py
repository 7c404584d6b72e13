"""The client for programs without asyncio."""

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.answer import Answer, PredictRequest, Result
from manyheads.producers.client import Client
from manyheads.producers.counts import Counts
from manyheads.producers.loop_thread import LoopThread
from manyheads.producers.metrics import ClientMetrics
from manyheads.producers.options import DEFAULT_OPTIONS, ClientOptions
from manyheads.producers.sync_stream import results_of
from manyheads.producers.ticket import Ticket
from manyheads.topics.errors import ClientClosed, ErrorCode
from manyheads.topics.names import Lane

_Method = TypeVar("_Method", bound=Callable[..., object])


def _documented_by(asynchronous: Callable[..., object]) -> Callable[[_Method], _Method]:
    """The same docstring: what differs is only that the caller's thread waits."""

    def documented(method: _Method) -> _Method:
        method.__doc__ = asynchronous.__doc__
        return method

    return documented


class SyncClient:
    """:class:`Client` without asyncio: the same methods, but they wait. Safe from any number of threads.

    Share one among all threads of a process::

        with SyncClient("localhost:9092") as nlu:
            answer = nlu.predict("acme-bank", "move 40 euros to my savings")

    It runs a :class:`Client` on an event loop in a thread of its own. It must be opened after a fork, as by a server
    that forks its workers: one that was opened before raises ClientClosed in the child, and goes on in the parent. Left
    open, it is closed with its process, or with the last reference to it. In a coroutine use :class:`Client`: this one
    would stop the event loop.

    Args:
        bootstrap_servers, ring, lane, timeout, max_in_flight, options, metrics: as for :class:`Client`.

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
        self._wrap(
            Client(
                bootstrap_servers,
                ring=ring,
                lane=lane,
                timeout=timeout,
                max_in_flight=max_in_flight,
                options=options,
                metrics=metrics,
            )
        )

    @classmethod
    def around(cls, client: Client) -> Self:
        """A client for threads around one that is not open yet, such as that of a ``FakeNlu``.

        ``client`` belongs to it from then on.
        """
        self = cls.__new__(cls)
        self._wrap(client)
        return self

    def _wrap(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._finalizer: weakref.finalize[..., Self] | None = None

    @property
    def counts(self) -> Counts:
        """What this client has seen so far: calls, late and duplicate replies. For your metrics."""
        return self._client.counts

    @_documented_by(Client.open)
    def open(self) -> Self:
        with self._lock:
            if self._thread is not None:
                raise ClientClosed(ErrorCode.CLIENT_CLOSED, "a client is opened once, and this one was: make another")
            thread = LoopThread("manyheads-client")
            self._thread = thread
        try:
            thread.run(self._client.open())
        except BaseException:
            thread.stop(_nothing)
            raise
        self._finalizer = weakref.finalize(self, _abandon, thread, self._client)
        return self

    @_documented_by(Client.close)
    def close(self, timeout: float | None = None) -> None:
        thread = self._thread
        if thread is None or not thread.is_of_this_process:
            return
        if self._finalizer is not None:
            self._finalizer.detach()
        with suppress(ClientClosed):  # another thread was faster
            thread.run(self._client.close(timeout))
        thread.stop(_nothing)

    @_documented_by(Client.predict)
    def predict(
        self,
        tenant: str,
        text: str,
        *,
        timeout: float | None = None,
        deadline_ms: int | None = None,
        ring: str | None = None,
        traceparent: str | None = None,
    ) -> Answer:
        return self._running().run(
            self._client.predict(
                tenant, text, timeout=timeout, deadline_ms=deadline_ms, ring=ring, traceparent=traceparent
            )
        )

    @_documented_by(Client.predict_for)
    def predict_for(
        self,
        tenants: Sequence[str],
        text: str,
        *,
        timeout: float | None = None,
        deadline_ms: int | None = None,
        ring: str | None = None,
        traceparent: str | None = None,
    ) -> tuple[Result, ...]:
        return self._running().run(
            self._client.predict_for(
                tenants, text, timeout=timeout, deadline_ms=deadline_ms, ring=ring, traceparent=traceparent
            )
        )

    @_documented_by(Client.send)
    def send(
        self,
        tenant: str,
        text: str,
        *,
        timeout: float | None = None,
        deadline_ms: int | None = None,
        ring: str | None = None,
        traceparent: str | None = None,
    ) -> Ticket:
        return self._running().run(
            self._client.send(
                tenant, text, timeout=timeout, deadline_ms=deadline_ms, ring=ring, traceparent=traceparent
            )
        )

    @_documented_by(Client.answer)
    def answer(self, ticket: Ticket | str, *, text: str | None = None, timeout: float | None = None) -> Answer:
        return self._running().run(self._client.answer(ticket, text=text, timeout=timeout))

    def predict_many(
        self,
        requests: Iterable[PredictRequest | tuple[str, str]],
        *,
        in_flight: int = 256,
        ordered: bool = True,
        timeout: float | None = None,
    ) -> Iterator[Result]:
        """One result for each request, an answer or an error; no error ends the iteration.

        Requests are taken from the iterable only as they can be sent, and in the thread that iterates the results.
        While the iterable waits for its next, a result that comes waits too: where a request depends on the result
        before it, take ``in_flight=1``. Leaving the loop early cancels the rest.

        Args:
            requests: any iterable of :class:`PredictRequest` or ``(tenant, text)``.
            in_flight, ordered, timeout: as for :meth:`Client.predict_many`.

        Raises:
            InvalidRequest: an argument is wrong, or the iterable holds something else.
            ClientClosed: the client is not open, or was closed: after the results of what was in flight.
        """
        return results_of(self._running(), self._client, requests, in_flight=in_flight, ordered=ordered, limit=timeout)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(None if error is None else 0.0)

    def _running(self) -> LoopThread:
        if self._thread is None:
            raise ClientClosed(
                ErrorCode.CLIENT_CLOSED, "the client is not open yet: use it within `with SyncClient(...)`"
            )
        return self._thread


def _abandon(thread: LoopThread, client: Client) -> None:
    thread.stop(lambda: client.close(0.0))


async def _nothing() -> None:
    pass
