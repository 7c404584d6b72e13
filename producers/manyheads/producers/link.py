"""What joins a client to the pipeline: Kafka in earnest, the memory of one process in tests.

A link takes ready dispatches from the table of calls and tells what became of them; the rest of the client never knows
which link it has.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from manyheads.producers.calls import CallTable, Dispatch
from manyheads.producers.diagnosis import Connection
from manyheads.topics.headers import Headers
from manyheads.topics.names import Lane


class LinkEvents(Protocol):
    """What a link tells its client."""

    def accepted(self, dispatch: Dispatch) -> None:
        """The pipeline has the record."""

    def refused(self, dispatch: Dispatch, reason: str) -> None:
        """The pipeline will never take the record: this client may not send it."""

    def absent(self, topic: str, topics: frozenset[str]) -> None:
        """The pipeline has a topic no more, and what it was given for it is lost; ``topics`` are those that it has."""

    def replied(self, correlation_id: bytes, value: bytes | None, headers: Headers = ()) -> None:
        """A reply came, perhaps to another client."""


@dataclass(frozen=True, slots=True)
class PastReply:
    """A reply on the topic, anybody's."""

    correlation_id: bytes | None
    value: bytes | None
    timestamp_ms: int
    """when it was written, milliseconds since the epoch"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some replies in their order."""

    replies: Sequence[PastReply]
    caught_up: bool
    """whether all that was there when the reading began has been read"""
    gap: bool
    """whether the topic has deleted the place where the reading should have begun"""


class Link(Protocol):
    """One client's connection to the pipeline. Opened once, attached once, closed as often as you like."""

    @property
    def connection(self) -> Connection:
        """What is known of the connection now."""

    async def open(self) -> None:
        """Connect, however long it takes. Raises KafkaError if that is refused."""

    async def topics(self) -> frozenset[str]:
        """The topics that this client may see. Raises KafkaError."""

    async def attach(self) -> int:
        """Choose a reply partition and be at its end. Raises KafkaError."""

    def runners(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What must run from then on; each ends by cancellation alone."""

    def wake(self) -> None:
        """There are ready dispatches."""

    def reply_offset(self) -> int:
        """An offset that no reply to what is sent from now on comes before."""

    def replies_from(self, lane: Lane, partition: int, offset: int, limit: float) -> AsyncGenerator[Stretch, None]:
        """Replies that are on the topic or still come; a stretch without any now and then while there are none.

        Raises:
            TimeoutError: no connection within ``limit`` seconds.
            KafkaError: it is refused.
        """

    async def close(self) -> None:
        """Disconnect. What is not sent by then never will be."""


MakeLink = Callable[[CallTable, LinkEvents], Link]
