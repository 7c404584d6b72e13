"""The pipeline in memory: rings, what it shall say, and what it was asked."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from manyheads.producers.clock import Clock, LoopClock
from manyheads.producers.metrics import ClientMetrics
from manyheads.producers.options import DEFAULT_OPTIONS, ClientOptions
from manyheads.producers.sync import SyncClient
from manyheads.producers.testing.client import FakeClient
from manyheads.producers.testing.link import MemoryReplies
from manyheads.producers.testing.script import Asked, Fails, Says, Script, Silence, reply_to, unscripted
from manyheads.topics import names
from manyheads.topics.errors import ErrorCode
from manyheads.topics.headers import reply_headers
from manyheads.topics.messages import Failure, Reply
from manyheads.topics.names import Lane, TenantName

Scripts = Script | Sequence[Script]


class FakeNlu:
    """Answers the clients that it makes, as scripted.

    Args:
        script: says what to answer where :meth:`on` said nothing. It may return several; the client takes the first,
            as it would.
        rings: the rings that exist.
        clock: what deadlines and delays are measured by; None: real time. Give a :class:`FakeClock` to let it pass as
            your test wants it.

    Raises:
        InvalidRequest: invalid_name.
    """

    def __init__(
        self,
        script: Callable[[Asked], Scripts] | None = None,
        *,
        rings: Iterable[str] = ("en",),
        clock: Clock | None = None,
    ) -> None:
        self.script = script
        self.rings = frozenset(map(names.ring, rings))
        self.clock = LoopClock() if clock is None else clock
        self.replies = MemoryReplies()
        self.asked: list[Asked] = []
        """every request so far, in order; one for each tenant of ``predict_for``"""
        self.records = 0
        """how many records carried them: ``predict_for`` sends one for all its tenants"""
        self._arrived = asyncio.Condition()
        self._scripts: dict[tuple[TenantName, str | None], Scripts] = {}

    def on(self, tenant: str, script: Scripts, *, text: str | None = None) -> None:
        """What to answer to ``tenant``: to this ``text``, or to any that has no answer of its own.

        Raises:
            InvalidRequest: invalid_name.
        """
        self._scripts[names.tenant(tenant), text] = script

    def client(
        self,
        *,
        ring: str = "en",
        lane: Lane = Lane.INTERACTIVE,
        timeout: float = 10.0,
        max_in_flight: int = 10_000,
        options: ClientOptions = DEFAULT_OPTIONS,
        metrics: ClientMetrics | None = None,
    ) -> FakeClient:
        """A client of this pipeline; the arguments are those of :class:`manyheads.producers.Client`."""
        return FakeClient(
            self,
            ring=ring,
            lane=lane,
            timeout=timeout,
            max_in_flight=max_in_flight,
            options=options,
            metrics=metrics,
        )

    def sync_client(
        self,
        *,
        ring: str = "en",
        lane: Lane = Lane.INTERACTIVE,
        timeout: float = 10.0,
        max_in_flight: int = 10_000,
        options: ClientOptions = DEFAULT_OPTIONS,
    ) -> SyncClient:
        """The same for threads. It needs real time: leave ``clock`` out."""
        return SyncClient.around(
            self.client(ring=ring, lane=lane, timeout=timeout, max_in_flight=max_in_flight, options=options)
        )

    def reply(self, asked: Asked, script: Says | Fails) -> None:
        """Reply to a request now, whatever its script said: for those that were left in silence.

        Raises:
            ValueError: an entity is not in the text.
        """
        self._deliver(asked, reply_to(asked, script))

    async def has_been_asked(self, count: int) -> list[Asked]:
        """Wait for this many requests in all, and return them."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.asked) >= count)
        return self.asked

    async def take(self, requests: Sequence[Asked]) -> None:
        """A record has arrived. The links of its clients call it."""
        self.records += 1
        self.asked += requests
        for asked in requests:
            self._answer(asked)
        async with self._arrived:
            self._arrived.notify_all()

    def _answer(self, asked: Asked) -> None:
        scripts = self._scripts_for(asked)
        if scripts is None:
            self._deliver(asked, Reply(failure=Failure.of(unscripted(asked))))
            return
        for script in [scripts] if isinstance(scripts, Says | Fails | Silence) else scripts:
            if isinstance(script, Silence):
                continue
            try:
                reply = reply_to(asked, script)
            except ValueError as error:  # the test shall hear of it where it waits
                reply = reply_to(asked, Fails(ErrorCode.INTERNAL, f"the script does not fit the request: {error}"))
            if script.delay > 0:
                self.clock.call_at(self.clock.now() + script.delay, partial(self._deliver, asked, reply))
            else:
                self._deliver(asked, reply)

    def _scripts_for(self, asked: Asked) -> Scripts | None:
        for text in (asked.text, None):
            if (asked.tenant, text) in self._scripts:
                return self._scripts[asked.tenant, text]
        return None if self.script is None else self.script(asked)

    def _deliver(self, asked: Asked, reply: Reply) -> None:
        envelope = asked.envelope
        headers = reply_headers(envelope.reply, envelope.traceparent, envelope.tracestate)
        now_ms = self.clock.moment().now_ms
        self.replies.append(envelope.reply.correlation_id, reply.to_bytes(), headers, now_ms)
