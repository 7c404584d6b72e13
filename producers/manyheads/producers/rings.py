"""Which rings there are: the request topics that the cluster has."""

import asyncio
from collections.abc import Awaitable, Callable

from manyheads.producers.diagnosis import missing_topic
from manyheads.topics.names import Lane, RingName, requests_topic

_FRESH_S = 1.0
"""A caller in a loop with a misspelt ring must not ask the broker each time."""


class RingDirectory:
    """Remembers the rings that exist, and looks again for one that does not.

    A producer must never be asked to send to a topic that may not exist: where brokers create topics by themselves,
    it would.
    """

    def __init__(self, list_topics: Callable[[], Awaitable[frozenset[str]]], lane: Lane) -> None:
        self._list_topics = list_topics
        self._lane = lane
        self._topics: frozenset[str] = frozenset()
        self._missed: tuple[RingName, float] | None = None
        self._lock = asyncio.Lock()

    def known(self, ring: RingName) -> str | None:
        """The request topic of a ring that was found before."""
        topic = requests_topic(ring, self._lane)
        return topic if topic in self._topics else None

    def forget(self, topic: str) -> None:
        """The cluster has this topic no more."""
        self._topics -= {topic}

    async def find(self, ring: RingName) -> str:
        """The request topic of a ring.

        Raises:
            RoutingError: unknown_ring, naming those that exist.
            BrokerError: topics_missing.
            KafkaError: the broker could not be asked.
        """
        async with self._lock:
            if self.known(ring) is None and not self._just_missed(ring):
                self._topics = await self._list_topics()
                self._missed = (ring, asyncio.get_running_loop().time())
        error = missing_topic(self._topics, ring, self._lane)
        if error is not None:
            raise error
        return requests_topic(ring, self._lane)

    def _just_missed(self, ring: RingName) -> bool:
        if self._missed is None:
            return False
        missed, listed = self._missed
        return missed == ring and asyncio.get_running_loop().time() - listed < _FRESH_S
