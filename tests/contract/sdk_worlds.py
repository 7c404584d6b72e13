"""Two pipelines for one suite: the one in memory that the SDK offers, and a responder over a real broker."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Client, Lane
from manyheads.producers.testing import Asked, Fails, FakeNlu, Says, Script, Silence
from manyheads.producers.testing.script import reply_to
from manyheads.topics.messages import Reply
from manyheads.topics.names import RingName
from tests.broker import sdk_responder
from tests.conftest import TEST_PARTITIONS

Answer = Callable[[Asked], Sequence[Script]]


def echo(asked: Asked) -> Sequence[Script]:
    """Tells its text and its tenant from any other."""
    return [Says(asked.text[:150] + "@" + asked.tenant, 0.875, entities=[("first-word", asked.text.split(" ", 1)[0])])]


class World(Protocol):
    """A pipeline with a ring of the test's own, which answers by its echo until it is told otherwise."""

    ring: RingName

    def client(self, **arguments: Any) -> Client:
        """A client of the ring, not open yet."""

    def answer(self, answer: Answer) -> None:
        """What to answer from now on."""

    async def asked(self, count: int) -> list[Asked]:
        """All requests so far, once they are so many."""

    def records(self) -> int:
        """How many records carried them."""

    async def reply(self, asked: Asked, script: Says | Fails) -> None:
        """A reply beside those that were scripted."""


class MemoryWorld:
    def __init__(self) -> None:
        self.ring = RingName("en")
        self._nlu = FakeNlu(echo)

    def client(self, **arguments: Any) -> Client:
        return self._nlu.client(**{"ring": self.ring} | arguments)

    def answer(self, answer: Answer) -> None:
        self._nlu.script = answer

    async def asked(self, count: int) -> list[Asked]:
        return await self._nlu.has_been_asked(count)

    def records(self) -> int:
        return self._nlu.records

    async def reply(self, asked: Asked, script: Says | Fails) -> None:
        self._nlu.reply(asked, script)


class BrokerWorld:
    def __init__(self, settings: KafkaSettings, ring: RingName, responder: sdk_responder.Responder) -> None:
        self.ring = ring
        self._settings = settings
        self._responder = responder
        self.answer(echo)

    def client(self, **arguments: Any) -> Client:
        return Client(self._settings, **{"ring": self.ring} | arguments)

    def answer(self, answer: Answer) -> None:
        def replies(raw: sdk_responder.Asked) -> list[Reply]:
            asked = self._of(raw)
            return [reply_to(asked, script) for script in answer(asked) if not isinstance(script, Silence)]

        self._responder.answer = replies

    async def asked(self, count: int) -> list[Asked]:
        return [self._of(each) for each in await self._responder.has_seen(count)]

    def records(self) -> int:
        return self._responder.records

    async def reply(self, asked: Asked, script: Says | Fails) -> None:
        raw = sdk_responder.Asked(asked.text, asked.envelope, 0)
        await self._responder.reply(raw, reply_to(asked, script))

    def _of(self, raw: sdk_responder.Asked) -> Asked:
        return Asked(raw.envelope.tenant, raw.text, self.ring, Lane.INTERACTIVE, raw.envelope)


@asynccontextmanager
async def broker_world(settings: KafkaSettings, ring: RingName) -> AsyncIterator[World]:
    """A ring that exists on the broker."""
    async with sdk_responder.responding(settings, ring, TEST_PARTITIONS.requests) as responder:
        yield BrokerWorld(settings, ring, responder)
