"""Which topics there are. A worker asks before it writes where a sender told it to."""

import time
from collections.abc import Callable, Mapping

from confluent_kafka import KafkaException

_REFRESH_S = 1.0

ListTopics = Callable[[float], Mapping[str, int]]
"""topic names with their partition counts, within seconds; raises KafkaException"""


class TopicDirectory:
    """The topics and their partition counts, asked of the broker when an unknown one is named, once a second at most.

    Without it a reply to a topic that does not exist would hold up its partition for seconds, and a broker that
    creates topics by itself would create it.
    """

    def __init__(self, list_topics: ListTopics, clock: Callable[[], float] = time.monotonic) -> None:
        self._list_topics = list_topics
        self._clock = clock
        self._partitions: Mapping[str, int] = {}
        self._asked = float("-inf")

    def exists(self, topic: str, partition: int | None) -> bool:
        """Whether the topic, with this partition, exists. True if nobody can be asked: publishing will tell."""
        if self._knows(topic, partition):
            return True
        if self._clock() - self._asked < _REFRESH_S:
            return not self._partitions
        try:
            self._partitions = self._list_topics(_REFRESH_S)
        except KafkaException:
            return True
        finally:
            # From the answer on: one that takes its whole time must not be asked for by each record.
            self._asked = self._clock()
        return self._knows(topic, partition)

    def _knows(self, topic: str, partition: int | None) -> bool:
        return (partition or 0) < self._partitions.get(topic, 0)
