"""Which buckets this process does: those of the partitions that the job's consumer group gives it."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence

from manyheads.infra.kafka.confluent import ConfluentTransport
from manyheads.infra.kafka.records import TopicPartition
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.telemetry import event
from manyheads.topics.errors import ManyheadsError
from manyheads.topics.names import job_group, job_topic

_log = logging.getLogger(__name__)

_POLL_S = 0.05
_LEAVE_S = 5.0
_PREFETCH_BYTES = 64 * 1024


class Membership:
    """A member of the job's group, polled by a thread of its own. It reads nothing: partitions stay paused.

    Args:
        settings: how to reach Kafka.
        job: whose group.
        given: called on the event loop with partitions that are now ours.
        taken: awaited on the event loop with partitions that another process gets once it returns.
        failed: called on the event loop if the group refuses us for good.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        job: str,
        *,
        given: Callable[[Sequence[int]], None],
        taken: Callable[[Sequence[int]], Awaitable[None]],
        failed: Callable[[ManyheadsError], None],
    ) -> None:
        self._settings = settings
        self._job = job
        self._given = given
        self._taken = taken
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job-group", daemon=True)

    def start(self) -> None:
        """Join the group."""
        self._thread.start()

    async def leave(self) -> None:
        """Leave the group, so that others take over at once. May be called again."""
        self._stopping.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, 2 * _LEAVE_S)

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """See :class:`manyheads.infra.kafka.transport.RebalanceListener`."""
        self._loop.call_soon_threadsafe(self._given, _numbers(partitions))

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """See :class:`manyheads.infra.kafka.transport.RebalanceListener`."""
        if not self._stopping.is_set():
            asyncio.run_coroutine_threadsafe(self._let_go(_numbers(partitions)), self._loop).result()

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """See :class:`manyheads.infra.kafka.transport.RebalanceListener`."""
        self.revoked(partitions)

    async def _let_go(self, partitions: Sequence[int]) -> None:
        await self._taken(partitions)

    def _run(self) -> None:
        consumer = ConfluentTransport(self._settings).consumer(
            job_group(self._job), job_topic(self._job), self, prefetch_bytes=_PREFETCH_BYTES
        )
        try:
            while not self._stopping.is_set():
                consumer.take(1, _POLL_S)
        except ManyheadsError as error:
            event(_log, "job_group_failed", level=logging.ERROR, error=error)
            self._loop.call_soon_threadsafe(self._failed, error)
        finally:
            consumer.close(_LEAVE_S)


def _numbers(partitions: Sequence[TopicPartition]) -> list[int]:
    return sorted(number for _, number in partitions)
