"""Which reply belongs to which embedding, and what has none. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from manyheads.head_worker.replay.answering import Past, Unread
from manyheads.head_worker.replay.comparison import Comparison, Place, Said
from manyheads.topics.errors import WireError
from manyheads.topics.headers import Headers, correlation_id_of
from manyheads.topics.messages import Reply


@dataclass(slots=True)
class Coverage:
    """What became of each embedding: embeddings = copies + unread + without_reply + failed + compared."""

    embeddings: int = 0
    copies: int = 0
    """of a request that was seen already: written again after a restart"""
    unread: Counter[str] = field(default_factory=Counter)
    """by the code of the reason"""
    other: Counter[str] = field(default_factory=Counter)
    """of the unread ones, those of another space or view, by what they are"""
    without_reply: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """answered with an error then, by its code"""
    compared: int = 0
    answered_by: Counter[str] = field(default_factory=Counter)
    """of the compared ones, by the version of the head that answered then"""


class Matching:
    """Collects what a head says, then compares it with the replies as they are shown, by correlation id.

    Args:
        comparison: is told of every pair.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._coverage = Coverage()
        self._waiting: dict[tuple[str, bytes], tuple[Place, Said]] = {}
        self._partitions: dict[str, set[int] | None] = {}

    @property
    def waiting(self) -> int:
        """Embeddings whose reply was not shown yet."""
        return len(self._waiting)

    @property
    def reply_partitions(self) -> dict[str, frozenset[int] | None]:
        """By topic, the partitions that the replies went to; None: any of them."""
        return {topic: None if found is None else frozenset(found) for topic, found in self._partitions.items()}

    @property
    def coverage(self) -> Coverage:
        """What is known by now; what still waits has no reply."""
        self._coverage.without_reply = len(self._waiting)
        return self._coverage

    def replayed(self, outcomes: Iterable[Past | Unread]) -> None:
        """The head has read these, or could not. All of them, before the first reply."""
        coverage = self._coverage
        for outcome in outcomes:
            coverage.embeddings += 1
            if isinstance(outcome, Unread):
                coverage.unread[outcome.code] += 1
                if outcome.reads is not None:
                    coverage.other[outcome.reads] += 1
                continue
            reply = outcome.reply
            if self._waiting.setdefault((reply.topic, reply.correlation_id), (outcome.place, outcome.said))[0] != (
                outcome.place
            ):
                coverage.copies += 1
                continue
            self._expect(reply.topic, reply.partition)

    def reply(self, topic: str, headers: Headers, value: bytes | None) -> None:
        """A record of a reply topic. Those of other requests, and later copies, are passed over."""
        correlation_id = correlation_id_of(headers)
        if correlation_id is None or (topic, correlation_id) not in self._waiting:
            return
        try:
            reply = Reply.from_bytes(value)
        except WireError:
            return  # whoever wrote it, no client has taken it for an answer
        place, said = self._waiting.pop((topic, correlation_id))
        if reply.prediction is not None:
            self._coverage.compared += 1
            self._coverage.answered_by[reply.prediction.versions.head] += 1
            self._comparison.add(place, Said.of(reply.prediction), said)
        elif reply.failure is not None:
            self._coverage.failed[reply.failure.code] += 1

    def _expect(self, topic: str, partition: int | None) -> None:
        if partition is None:
            self._partitions[topic] = None
            return
        known = self._partitions.setdefault(topic, set())
        if known is not None:
            known.add(partition)
