"""The link over the memory of this process, and the reply topic that lives there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from manyheads.producers.calls import CallTable, Dispatch
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


class MemoryReplies:
    """The reply topic: one partition, read by every client."""

    def __init__(self) -> None:
        self.records: list[PastReply] = []
        self._readers: list[_Read] = []

    def append(self, correlation_id: bytes, value: bytes, headers: Headers, timestamp_ms: int) -> None:
        """A reply, for all that read."""
        self.records.append(PastReply(correlation_id, value, timestamp_ms))
        for read in tuple(self._readers):
            read(correlation_id, value, headers)

    def attach(self, read: _Read) -> None:
        """Tell ``read`` of each reply from now on."""
        self._readers.append(read)

    def detach(self, read: _Read) -> None:
        """Tell it of no more."""
        if read in self._readers:
            self._readers.remove(read)


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
        clock, records = self._nlu.clock, self._nlu.replies.records
        while True:
            yield Stretch(tuple(records[offset:]), caught_up=True, gap=False)
            offset = max(offset, len(records))
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
                await self._nlu.take(_requests_of(dispatch))


def _requests_of(dispatch: Dispatch) -> list[Asked]:
    text = Request.from_bytes(dispatch.value).text
    stage = parse_stage_topic(dispatch.topic)
    assert stage is not None  # it is one of topics()
    envelopes = Envelope.from_headers(dispatch.headers).for_each()
    return [Asked(envelope.tenant, text, stage.ring, stage.lane, envelope) for envelope in envelopes]
