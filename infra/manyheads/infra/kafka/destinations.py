"""Which topics cannot be written, asked once records were lost: Kafka does not say why, or for which."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation

from manyheads.topics.names import PREFIX

_ANSWER_S = 2.0
_AGAIN_S = 1.0
"""after which Kafka is asked again"""
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})

Leaders = Callable[[float], Mapping[str, Mapping[int, int]]]
"""by topic and partition the leader, negative where there is none, within seconds; raises KafkaException"""


class Destinations:
    """Tells records that cannot be written from those that only have to be written again.

    A record for a partition without a leader is lost after its time; where one topic of a transaction may not be
    written, each of its records is. Whoever named such a topic would hold up everybody else's records for ever.

    Args:
        leaders: asks for the leaders of all partitions.
        admin: makes a client for one question.
        clock: seconds that never go back.
    """

    def __init__(
        self, leaders: Leaders, admin: Callable[[], AdminClient], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask_leaders = leaders
        self._make_admin = admin
        self._clock = clock
        self._doubts_leaders = self._doubts_permissions = False
        self._leaders: tuple[float, Mapping[str, Mapping[int, int]]] = (float("-inf"), {})
        self._permitted: dict[str, tuple[float, bool]] = {}

    def lost(self, error: KafkaError) -> None:
        """A record was lost, for this reason."""
        if error.code() == KafkaError._MSG_TIMED_OUT:
            self._doubts_leaders = True
        elif error.code() in _PURGED:
            self._doubts_permissions = True
            self._permitted.clear()

    def takes(self, topic: str, partition: int | None) -> bool:
        """Whether the topic can be written, as far as there is a doubt. True if nobody can be asked."""
        if self._doubts_permissions and not self._is_permitted(topic):
            return False
        # A topic of the pipeline itself is waited for until it has a leader; one that a sender named is not.
        return not self._doubts_leaders or topic.startswith(f"{PREFIX}.") or self._is_led(topic, partition)

    def _is_led(self, topic: str, partition: int | None) -> bool:
        asked, leaders = self._leaders
        if self._clock() - asked >= _AGAIN_S:
            try:
                leaders = self._ask_leaders(_ANSWER_S)
            except KafkaException:
                leaders = {}
            self._leaders = self._clock(), leaders
        return all(leader >= 0 for number, leader in leaders.get(topic, {}).items() if partition in (None, number))

    def _is_permitted(self, topic: str) -> bool:
        asked, permitted = self._permitted.get(topic, (float("-inf"), False))
        if not permitted and self._clock() - asked >= _AGAIN_S:
            permitted = self._ask_permission(topic)
            self._permitted[topic] = self._clock(), permitted
        return permitted

    def _ask_permission(self, topic: str) -> bool:
        # A client of its own each time: one whose broker dies never stops trying to reach it.
        admin = self._make_admin()
        try:
            answers = admin.describe_topics(
                TopicCollection([topic]), include_authorized_operations=True, request_timeout=_ANSWER_S
            )
            operations = answers[topic].result(_ANSWER_S).authorized_operations
        except (KafkaException, FutureTimeoutError):
            return True
        return not operations or AclOperation.WRITE in operations
