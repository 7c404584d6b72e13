"""Replies from Kafka: a thin shell around aiokafka's consumer, on one partition, without a group."""

import asyncio
import logging
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.connect import described, until_connected
from manyheads.producers.options import ClientOptions
from manyheads.topics.headers import Headers, correlation_id_of
from manyheads.topics.names import REPLIES_TOPIC, Lane

_log = logging.getLogger(__name__)

_POLL_MS = 1_000
_PAUSE_S = 0.1
_RECORDS_AT_ONCE = 256
"""Decoded before others on the event loop have their turn."""


class ReplyReader:
    """Reads one partition of the reply topic from the end that it had when the client was opened.

    It keeps its own position: after a broker's restart, or with a new consumer, it goes on where it was.

    Args:
        on_reply: called with correlation id, value and headers of every reply on the partition, other clients' too.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        options: ClientOptions,
        lane: Lane,
        on_reply: Callable[[bytes, bytes | None, Headers], None],
    ) -> None:
        self._settings = settings
        self._options = options
        self._lane = lane
        self._on_reply = on_reply
        self._consumer: AIOKafkaConsumer | None = None
        self._place: TopicPartition | None = None
        self._position = 0
        self.heard = 0.0
        """when the last reply came, anybody's, seconds of the event loop's clock"""
        self.trouble: str | None = None
        """the last error of the consumer, until it works again"""

    async def open(self) -> None:
        """Connect. Raises KafkaError; waits for a broker as long as there is none."""
        consumer = reply_consumer(self._settings, self._options, self._lane)
        try:
            await until_connected(consumer.start)
        except BaseException:
            await stop_consumer(consumer)
            raise
        self._consumer = consumer

    async def topics(self) -> frozenset[str]:
        """The topics of the cluster that this client may see. Raises KafkaError."""
        assert self._consumer is not None
        return frozenset(await self._consumer.topics())

    async def attach(self, partition: int) -> None:
        """Read ``partition`` from its end as of now. Raises KafkaError."""
        assert self._consumer is not None
        place = TopicPartition(REPLIES_TOPIC, partition)
        self._position = (await self._consumer.end_offsets([place]))[place]
        self._place = place
        self._resume(self._consumer)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                if self._consumer is None:
                    await self.open()
                    self._resume(self._consumer)
                await self._read()
            except KafkaError as error:
                self.trouble = described(error)
                _log.warning("the Kafka consumer of replies failed (%s); a new one goes on", self.trouble)
                await self.close()
                await asyncio.sleep(_PAUSE_S)

    @property
    def position(self) -> int:
        """The reply to what is sent from now on will be at this offset or behind it."""
        return self._position

    async def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)
        self._consumer = None

    async def _read(self) -> None:
        consumer = self._consumer
        assert consumer is not None
        found = await consumer.getmany(self._place, timeout_ms=_POLL_MS, max_records=_RECORDS_AT_ONCE)
        for record in found.get(self._place, ()):
            self._position = record.offset + 1
            correlation_id = correlation_id_of(record.headers)
            if correlation_id is not None:
                self._on_reply(correlation_id, record.value, record.headers)
        if found:
            self.heard = asyncio.get_running_loop().time()
            self.trouble = None
            await asyncio.sleep(0)
        elif consumer._fetcher.error_future.done():  # getmany() would go on to find nothing, for ever
            raise KafkaError("the task that fetches has ended")

    def _resume(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._place])
        consumer.seek(self._place, self._position)


def reply_consumer(settings: KafkaSettings, options: ClientOptions, lane: Lane) -> AIOKafkaConsumer:
    """A consumer of replies of one lane, without a group and not connected yet."""
    return AIOKafkaConsumer(
        **settings.aiokafka(),
        # Batch replies are committed in transactions. Interactive ones are not, and must not wait behind a
        # transaction that is still open on the same partition.
        isolation_level="read_committed" if lane is Lane.BATCH else "read_uncommitted",
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # where the position is gone, too much is better than a reply missed
        request_timeout_ms=round(options.request_timeout_s * 1000),
        metadata_max_age_ms=round(options.metadata_max_age_s * 1000),
    )


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Disconnect."""
    # While a broker is away, stop() may cancel itself together with its own fetches, and leave its connections open.
    # May be called again.
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait([stopping])
    if not stopping.cancelled():
        stopping.result()
    await consumer._client.close()
