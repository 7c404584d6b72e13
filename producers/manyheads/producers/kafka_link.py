"""The link over Kafka: one producer of requests, one consumer of replies."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.archive import replies_from
from manyheads.producers.calls import CallTable
from manyheads.producers.diagnosis import Connection
from manyheads.producers.link import LinkEvents, Stretch
from manyheads.producers.options import ClientOptions
from manyheads.producers.reader import ReplyReader
from manyheads.producers.sender import RequestSender
from manyheads.topics.names import REPLIES_TOPIC, Lane


class KafkaLink:
    """See :class:`manyheads.producers.link.Link`."""

    def __init__(
        self, settings: KafkaSettings, options: ClientOptions, lane: Lane, calls: CallTable, events: LinkEvents
    ) -> None:
        self._settings = settings
        self._options = options
        self.sender = RequestSender(settings, options, calls, events)
        self.reader = ReplyReader(settings, options, lane, events.replied)

    @property
    def connection(self) -> Connection:
        return Connection(
            servers=self._settings.bootstrap_servers,
            heard=max(self.sender.heard, self.reader.heard),
            trouble=self.sender.trouble or self.reader.trouble,
        )

    async def open(self) -> None:
        await self.reader.open()

    async def topics(self) -> frozenset[str]:
        return await self.reader.topics()

    async def attach(self) -> int:
        await self.sender.open()
        partition = secrets.choice(await self.sender.partitions(REPLIES_TOPIC))
        await self.reader.attach(partition)
        return partition

    def runners(self) -> Sequence[Coroutine[Any, Any, None]]:
        return self.sender.run(), self.reader.run()

    def wake(self) -> None:
        self.sender.wake()

    def reply_offset(self) -> int:
        return self.reader.position

    def replies_from(self, lane: Lane, partition: int, offset: int, limit: float) -> AsyncGenerator[Stretch, None]:
        return replies_from(self._settings, self._options, lane, (partition, offset), limit)

    async def close(self) -> None:
        await asyncio.gather(self.sender.close(), self.reader.close())
