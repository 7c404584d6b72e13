"""Requests to Kafka: a thin shell around aiokafka's idempotent producer."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import SystemRandom

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.calls import CallTable, Dispatch
from manyheads.producers.connect import REFUSALS, described, until_connected
from manyheads.producers.link import LinkEvents
from manyheads.producers.options import ClientOptions

_log = logging.getLogger(__name__)

_PAUSE_S = 0.1
_FLUSH_S = 1.0


class EvenSpread:
    """Chooses partitions for records without a key: each once a round, every round in a new order.

    Chance alone would leave some encoder workers with twice the work of others; a fixed order would fall into step
    with requests that alternate between rings.
    """

    def __init__(self) -> None:
        self._random = SystemRandom()
        self._rounds: dict[int, list[int]] = {}
        self.avoid: int | None = None
        """a partition that shall not be chosen, where there is another"""

    def __call__(self, key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
        candidates = available or partitions
        if self.avoid is not None and (others := [each for each in candidates if each != self.avoid]):
            return self._random.choice(others)
        left = self._rounds.setdefault(len(candidates), [])
        if not left:
            left += self._random.sample(range(len(candidates)), len(candidates))
        return candidates[left.pop()]


class RequestSender:
    """Hands what is ready to Kafka until it is stopped, and tells the table what became of it.

    The producer is idempotent: what it retries is in the topic once. The price is that it never gives up on a batch,
    and that a lost sequence number fails everything after it; then a new producer takes over what was not
    acknowledged.
    """

    def __init__(self, settings: KafkaSettings, options: ClientOptions, calls: CallTable, events: LinkEvents) -> None:
        self._settings = settings
        self._options = options
        self._calls = calls
        self._events = events
        self._producer: AIOKafkaProducer | None = None
        self._broken = False
        self._spread = EvenSpread()
        self._woken = asyncio.Event()
        self.heard = 0.0
        """when the broker last acknowledged something, seconds of the event loop's clock"""
        self.trouble: str | None = None
        """the last error of the producer, until it works again"""

    async def open(self) -> None:
        """Connect. Raises KafkaError; waits for a broker as long as there is none."""
        options = self._options
        producer = AIOKafkaProducer(
            **self._settings.aiokafka(),
            enable_idempotence=True,
            acks="all",
            linger_ms=options.linger_ms,
            max_batch_size=options.max_batch_bytes,
            partitioner=self._spread,
            request_timeout_ms=round(options.request_timeout_s * 1000),
            metadata_max_age_ms=round(options.metadata_max_age_s * 1000),
        )
        try:
            await until_connected(producer.start)
        except BaseException:
            await _stop(producer)
            raise
        self._producer = producer

    async def partitions(self, topic: str) -> tuple[int, ...]:
        """The partitions of a topic that exists."""
        assert self._producer is not None
        return tuple(sorted(await self._producer.partitions_for(topic)))

    def wake(self) -> None:
        """There are ready dispatches."""
        self._woken.set()

    async def run(self) -> None:
        """Send what is ready, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            if self._broken:
                await self._renew()
            loop = asyncio.get_running_loop()
            while not self._broken and (dispatch := self._calls.next_ready(loop.time())) is not None:
                await self._send(dispatch)

    async def close(self) -> None:
        """Disconnect. What is not in Kafka by then, after a moment, never will be."""
        if self._producer is not None:
            await _stop(self._producer)
        self._producer = None

    async def _send(self, dispatch: Dispatch) -> None:
        producer = self._producer
        assert producer is not None
        self._spread.avoid = dispatch.partition if dispatch.hedged else None
        try:
            acknowledgement = await producer.send(dispatch.topic, dispatch.value, headers=list(dispatch.headers))
        except KafkaError as error:
            self._failed(dispatch, error)
        else:
            acknowledgement.add_done_callback(partial(self._acknowledged, producer, dispatch))

    def _acknowledged(
        self, producer: AIOKafkaProducer, dispatch: Dispatch, acknowledgement: asyncio.Future[RecordMetadata]
    ) -> None:
        error = acknowledgement.exception()
        if error is None:
            self.heard = asyncio.get_running_loop().time()
            self.trouble = None
            if not dispatch.hedged:
                dispatch.partition = acknowledgement.result().partition
            self._events.accepted(dispatch)
        elif producer is self._producer:
            assert isinstance(error, KafkaError)
            self._failed(dispatch, error)

    def _failed(self, dispatch: Dispatch, error: KafkaError) -> None:
        self.trouble = described(error)
        if isinstance(error, REFUSALS):
            self._events.refused(dispatch, self.trouble)
            return
        self._calls.returned(dispatch)
        if not self._broken:
            self._broken = True
            _log.warning("the Kafka producer failed (%s); a new one takes over", self.trouble)
            asyncio.get_running_loop().call_later(_PAUSE_S, self.wake)

    async def _renew(self) -> None:
        await self.close()
        for dispatch in self._calls.unacknowledged():
            self._calls.returned(dispatch)
        while self._producer is None:
            try:
                await self.open()
            except KafkaError as error:
                self.trouble = described(error)
                await asyncio.sleep(_PAUSE_S)
        self._broken = False


async def _stop(producer: AIOKafkaProducer) -> None:
    # stop() flushes first, and an idempotent producer never gives up on a batch: without a broker it would wait for
    # ever. So flush within a limit, then end its task and its connections by hand. May be called again.
    with suppress(TimeoutError):
        async with asyncio.timeout(_FLUSH_S):
            await producer.flush()
            await producer.stop()
    producer._closed = True
    sender = producer._sender.sender_task
    for _ in range(2):  # the first cancellation lets it finish its attempts, the second does not
        if sender is not None and not sender.done():
            sender.cancel()
            await asyncio.wait([sender], timeout=_FLUSH_S)
    if sender is not None and sender.done() and not sender.cancelled():
        sender.exception()  # what it died of has been reported
    await producer.client.close()
