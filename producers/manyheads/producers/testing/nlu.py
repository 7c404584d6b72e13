"""The pipeline in memory: rings, what it shall say, and what it was asked."""

import asyncio
import concurrent.futures
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from manyheads.producers.clock import Clock, LoopClock
from manyheads.producers.metrics import ClientMetrics
from manyheads.producers.options import DEFAULT_OPTIONS, ClientOptions
from manyheads.producers.sync import SyncClient
from manyheads.producers.testing.client import FakeClient
from manyheads.producers.testing.link import MemoryReplies, Written
from manyheads.producers.testing.script import Asked, Fails, Says, Script, Silence, reply_to, scripts_of, unscripted
from manyheads.topics import names
from manyheads.topics.errors import ErrorCode
from manyheads.topics.headers import reply_headers
from manyheads.topics.messages import Failure, Reply
from manyheads.topics.names import Lane, TenantName

Scripts = Script | Sequence[Script]

_log = logging.getLogger(__name__)


class FakeNlu:
    """Answers the clients that it makes, as scripted.

    Args:
        script: says what to answer where :meth:`on` said nothing. It may return several; the client takes the first,
            as it would. If it raises, the call that it was for raises InternalError, which names what it raised.
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
        self._waiting: dict[concurrent.futures.Future[None], int] = {}
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
        """Reply to a request now, whatever its script said: for those that were left in silence. From any thread.

        Raises:
            ValueError: an entity is not in the text.
        """
        self.replies.append(self._written(asked, reply_to(asked, script)))

    async def has_been_asked(self, count: int) -> list[Asked]:
        """Wait for this many requests in all, and return them. For coroutines; on any event loop."""
        arrived = self._once_asked(count)
        try:
            await asyncio.wrap_future(arrived)
        finally:
            self._waiting.pop(arrived, None)
        return self.asked

    def wait_until_asked(self, count: int, timeout: float = 60.0) -> list[Asked]:
        """Wait for this many requests in all, and return them. For threads::

            nlu = FakeNlu(lambda asked: SILENCE)
            with nlu.sync_client() as client, ThreadPoolExecutor() as pool:
                call = pool.submit(client.predict, "acme-bank", "what is my balance")
                (asked,) = nlu.wait_until_asked(1)
                nlu.reply(asked, Says("balance"))
                assert call.result().intent.name == "balance"

        Raises:
            TimeoutError: there were fewer after ``timeout`` seconds.
        """
        arrived = self._once_asked(count)
        try:
            arrived.result(timeout)
        except TimeoutError:
            raise TimeoutError(
                f"{len(self.asked)} requests came within {timeout:g} s, not {count}: were they sent, and from another "
                "thread than this one, which waits?"
            ) from None
        finally:
            self._waiting.pop(arrived, None)
        return self.asked

    def take(self, requests: Sequence[Asked]) -> None:
        """A record has arrived. The links of its clients call it, each in its own thread."""
        self.records += 1
        self.asked.extend(requests)
        for asked in requests:
            self._answer(asked)
        self._tell_those_who_wait()

    def _once_asked(self, count: int) -> concurrent.futures.Future[None]:
        arrived: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._waiting[arrived] = count
        self._tell_those_who_wait()
        return arrived

    def _tell_those_who_wait(self) -> None:
        for arrived, count in self._waiting.copy().items():
            # Of several threads that come here at one time, one takes it out.
            due = count <= len(self.asked) and self._waiting.pop(arrived, None) is not None
            if due and arrived.set_running_or_notify_cancel():
                arrived.set_result(None)

    def _answer(self, asked: Asked) -> None:
        scripts = self._scripts_for(asked)
        if scripts is None:
            self.replies.append(self._written(asked, Reply(failure=Failure.of(unscripted(asked)))))
            return
        for script in scripts:
            if not isinstance(script, Silence):
                self._say(asked, script)

    def _say(self, asked: Asked, script: Says | Fails) -> None:
        try:
            reply = self._written(asked, reply_to(asked, script), script.delay)
        except Exception as error:  # the test shall hear of it where it waits
            misfit = Fails(ErrorCode.INTERNAL, f"the script does not fit the request: {error}")
            self.replies.append(self._written(asked, reply_to(asked, misfit)))
            return
        if script.delay > 0:
            self.replies.append_at(self.clock.now() + script.delay, reply, self.clock)
        else:
            self.replies.append(reply)

    def _scripts_for(self, asked: Asked) -> Sequence[Script] | None:
        try:
            said = self._said_to(asked)
            return None if said is None else scripts_of(said)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # also a test's own "fail", which is no Exception: it ends this call alone
            _log.error("the script of FakeNlu raised", exc_info=error)
            return [Fails(ErrorCode.INTERNAL, f"the script raised {error!r}")]

    def _said_to(self, asked: Asked) -> Scripts | None:
        for text in (asked.text, None):
            if (asked.tenant, text) in self._scripts:
                return self._scripts[asked.tenant, text]
        return None if self.script is None else self.script(asked)

    def _written(self, asked: Asked, reply: Reply, delay: float = 0.0) -> Written:
        envelope = asked.envelope
        headers = reply_headers(envelope.reply, envelope.traceparent, envelope.tracestate)
        written_ms = self._now_ms() + round(max(0.0, delay) * 1000)
        return Written(envelope.reply.correlation_id, reply.to_bytes(), headers, written_ms)

    def _now_ms(self) -> int:
        if isinstance(self.clock, LoopClock):  # it tells the time on event loops alone; the wall's is everybody's
            return time.time_ns() // 1_000_000
        return self.clock.moment().now_ms
