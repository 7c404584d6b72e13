"""Requests to Kafka: a thin shell around aiokafka's idempotent producer."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from random import SystemRandom

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import (
    KafkaError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import RecordMetadata

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.calls import CallTable, Dispatch, Phase
from manyheads.producers.connect import REFUSALS, described, until_connected
from manyheads.producers.link import LinkEvents
from manyheads.producers.options import ClientOptions

_log = logging.getLogger(__name__)

_PAUSE_S = 0.1
_FLUSH_S = 1.0
_LOOKS = 6
"""A topic that brokers do not know so often in a row is gone; that one does not know it yet means little."""
_LOOK_PAUSE_S = 0.1
_STALE = 1_000

_AWAY = (UnknownTopicOrPartitionError, NotLeaderForPartitionError)
"""What becomes of records whose topic the producer does not know, or no more. The producer itself is fine."""


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

    It would also wait for a topic that it does not know, and everything else behind it. So what goes to such a topic is
    set aside, until the topic is found or is known to be gone.
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
        self._known: frozenset[str] = frozenset()
        """topics that the producer knows"""
        self._gone: set[str] = set()
        """topics that were known, and are not in the cluster any more"""
        self._aside: dict[str, list[Dispatch]] = {}
        """what waits until its topic is found, in order; each topic has a look-up"""
        self._found: list[str] = []
        """topics whose look-up has found them just now"""
        self._look_ups: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
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
        self._known = frozenset()
        producer.client.cluster.add_listener(self._learned)
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
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await self._run()
            finally:
                self._tasks = None

    async def close(self) -> None:
        """Disconnect. What is not in Kafka by then, after a moment, never will be."""
        if self._producer is not None:
            await _stop(self._producer)
        self._producer = None

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            if self._broken:
                await self._renew()
            loop = asyncio.get_running_loop()
            while not self._broken and (dispatch := self._calls.next_ready(loop.time())) is not None:
                if dispatch.topic in self._known and dispatch.topic not in self._aside:
                    await self._send(dispatch)
                else:
                    self._set_aside(dispatch)
            self._release()

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
        if isinstance(error, _AWAY):
            self._set_aside(dispatch)
            return
        self._calls.returned(dispatch)
        if not self._broken:
            self._broken = True
            _log.warning("the Kafka producer failed (%s); a new one takes over", self.trouble)
            asyncio.get_running_loop().call_later(_PAUSE_S, self.wake)

    async def _renew(self) -> None:
        await self.close()
        for look_up in self._look_ups.values():
            look_up.cancel()
        self._look_ups.clear()
        self._found.clear()
        self._aside.clear()
        for dispatch in self._calls.unacknowledged():
            self._calls.returned(dispatch)
        while self._producer is None:
            try:
                await self.open()
            except KafkaError as error:
                self.trouble = described(error)
                await asyncio.sleep(_PAUSE_S)
        self._broken = False

    def _set_aside(self, dispatch: Dispatch) -> None:
        if not dispatch.unsettled or dispatch.phase is not Phase.SENT:  # a second send is not worth it
            return
        waiting = self._aside.setdefault(dispatch.topic, [])
        waiting.append(dispatch)
        if len(waiting) > 2 * len(self._calls) + _STALE:
            waiting[:] = [each for each in waiting if each.unsettled]
        self._look_for(dispatch.topic)

    def _learned(self, cluster: ClusterMetadata) -> None:
        # Whatever the producer has learned, about the topics that it was asked for so far.
        before, self._known = self._known, frozenset(cluster.topics(exclude_internal_topics=False))
        self._gone -= self._known
        self._give_up_batches()
        if lost := before - self._known - self._gone:
            for topic in lost & {dispatch.topic for dispatch in self._calls.unacknowledged()}:
                self._look_for(topic)

    def _look_for(self, topic: str) -> None:
        if topic not in self._look_ups and self._tasks is not None and self._producer is not None:
            self._look_ups[topic] = self._tasks.create_task(self._look_up(topic, self._producer.client))

    async def _look_up(self, topic: str, client: AIOKafkaClient) -> None:
        client.add_topic(topic)
        looks = 0
        while topic not in self._known:
            told = await client.force_metadata_update()
            if topic in self._known:
                break
            if topic in client.cluster.unauthorized_topics:
                self._end_look_up(topic, lambda each: self._failed(each, TopicAuthorizationFailedError(topic)))
                return
            looks = looks + 1 if told else 0
            if looks >= _LOOKS and await self._is_gone(topic, client):
                return
            await asyncio.sleep(_LOOK_PAUSE_S)
        self._found.append(topic)
        self.wake()

    def _release(self) -> None:
        # As nothing else is ready now, nothing that came later will be sent first.
        for topic in self._found:
            self._end_look_up(topic, self._calls.returned)
            self.wake()
        self._found.clear()

    def _end_look_up(self, topic: str, then: Callable[[Dispatch], None]) -> None:
        del self._look_ups[topic]
        for dispatch in self._aside.pop(topic, ()):
            then(dispatch)

    async def _is_gone(self, topic: str, client: AIOKafkaClient) -> bool:
        try:
            cluster = await client.fetch_all_metadata()
        except KafkaError:
            return False
        topics = frozenset(cluster.topics())
        if topic in topics or topic in self._known:
            return False
        _log.warning("the topic %s does not exist any more", topic)
        self._gone.add(topic)
        # Asked for by name it would come back, where brokers create topics by themselves.
        client.set_topics(client._topics - {topic})
        self._events.absent(topic, topics)
        self._end_look_up(topic, self._calls.returned)  # what was sent meanwhile; nothing, as all of it has failed
        self._give_up_batches()
        return True

    def _give_up_batches(self) -> None:
        # The producer would keep what it has for a topic that is gone, and ask for the topic again and again, until the
        # batches are as old as they may be.
        if self._gone and self._producer is not None:
            for place, batches in self._producer._message_accumulator._batches.items():
                if place.topic in self._gone:
                    for batch in batches:
                        batch._ttl = 0.0


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
