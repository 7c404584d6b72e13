"""The link over the memory of this process, and the reply topic that lives there."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from manyheads.producers.calls import CallTable, Dispatch
from manyheads.producers.clock import Clock
from manyheads.producers.diagnosis import Connection
from manyheads.producers.link import LinkEvents, PastReply, Stretch
from manyheads.producers.testing.script import Asked
from manyheads.topics.headers import Envelope, Headers
from manyheads.topics.messages import Request
from manyheads.topics.names import REPLIES_TOPIC, Lane, parse_stage_topic, requests_topic

if TYPE_CHECKING:
    from manyheads.producers.testing.nlu import FakeNlu

_PARTITION = 0
_POLL_S = 0.05
_Read = Callable[[bytes, bytes | None, Headers], None]


@dataclass(frozen=True, slots=True)
class Written:
    """A reply as it is on the topic, or will be."""

    correlation_id: bytes
    value: bytes
    headers: Headers
    timestamp_ms: int
    """when it is written, milliseconds since the epoch"""


class MemoryReplies:
    """The reply topic: one partition, read by every client.

    Clients live in any number of threads, each on an event loop of its own, and tests fork: so there is no lock, which
    a fork would copy as it is held, but only operations on lists and dictionaries that are whole in themselves.
    """

    def __init__(self) -> None:
        self.records: list[PastReply] = []
        self._readers: list[tuple[_Read, asyncio.AbstractEventLoop]] = []
        self._coming: dict[int, tuple[float, Written]] = {}
        self._numbers = itertools.count()

    def append(self, reply: Written) -> None:
        """A reply, for all that read: each is told on its own event loop. From any thread."""
        self.records.append(PastReply(reply.correlation_id, reply.value, reply.timestamp_ms))
        for read, loop in tuple(self._readers):
            if loop is _running_loop():
                read(reply.correlation_id, reply.value, reply.headers)
            else:
                with suppress(RuntimeError):  # it ended, and its client was never closed
                    loop.call_soon_threadsafe(read, reply.correlation_id, reply.value, reply.headers)

    def append_at(self, when: float, reply: Written, clock: Clock) -> None:
        """The same once ``clock`` shows ``when``."""
        number = next(self._numbers)
        self._coming[number] = when, reply
        clock.call_at(when, partial(self._has_come, number))

    def catch_up(self, now: float) -> None:
        """Append what is due, though the event loop that should have done it has ended with its client."""
        coming = self._coming.copy().items()
        for _, number in sorted((when, number) for number, (when, _) in coming if when <= now):
            self._has_come(number)

    def attach(self, read: _Read) -> None:
        """Tell ``read`` of each reply from now on, on the running event loop."""
        self._readers.append((read, asyncio.get_running_loop()))

    def detach(self, read: _Read) -> None:
        """Tell it of no more."""
        for reader in tuple(self._readers):
            if reader[0] == read:
                self._readers.remove(reader)

    def _has_come(self, number: int) -> None:
        if (coming := self._coming.pop(number, None)) is not None:  # else another thread was faster
            self.append(coming[1])


class MemoryLink:
    """See :class:`manyheads.producers.link.Link`."""

    def __init__(self, nlu: FakeNlu, calls: CallTable, events: LinkEvents) -> None:
        self._nlu = nlu
        self._calls = calls
        self._events = events
        self._woken = asyncio.Event()

    @property
    def connection(self) -> Connection:
        return Connection(servers="memory", heard=self._nlu.clock.now())

    async def open(self) -> None:
        pass

    async def topics(self) -> frozenset[str]:
        return frozenset({requests_topic(ring, lane) for ring in self._nlu.rings for lane in Lane} | {REPLIES_TOPIC})

    async def attach(self) -> int:
        self._nlu.replies.attach(self._events.replied)
        return _PARTITION

    def runners(self) -> Sequence[Coroutine[Any, Any, None]]:
        return (self._run(),)

    def wake(self) -> None:
        self._woken.set()

    def reply_offset(self) -> int:
        return len(self._nlu.replies.records)

    async def replies_from(
        self, lane: Lane, partition: int, offset: int, limit: float
    ) -> AsyncGenerator[Stretch, None]:
        clock, replies = self._nlu.clock, self._nlu.replies
        while True:
            replies.catch_up(clock.now())
            records = tuple(replies.records[offset:])
            yield Stretch(records, caught_up=True, gap=False)
            offset += len(records)
            woken = asyncio.Event()
            clock.call_at(clock.now() + _POLL_S, woken.set)
            await woken.wait()

    async def close(self) -> None:
        self._nlu.replies.detach(self._events.replied)

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while (dispatch := self._calls.next_ready(self._nlu.clock.now())) is not None:
                self._events.accepted(dispatch)
                self._nlu.take(_requests_of(dispatch))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _requests_of(dispatch: Dispatch) -> list[Asked]:
    text = Request.from_bytes(dispatch.value).text
    stage = parse_stage_topic(dispatch.topic)
    assert stage is not None  # it is one of topics()
    envelopes = Envelope.from_headers(dispatch.headers).for_each()
    return [Asked(envelope.tenant, text, stage.ring, stage.lane, envelope) for envelope in envelopes]
