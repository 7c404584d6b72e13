"""What joins a client to the pipeline: Kafka in earnest, the memory of one process in tests.

A link takes ready dispatches from the table of calls and tells what became of them; the rest of the client never knows
which link it has.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from manyheads.producers.calls import CallTable, Dispatch
from manyheads.producers.diagnosis import Connection
from manyheads.topics.headers import Headers


class LinkEvents(Protocol):
    """What a link tells its client."""

    def accepted(self, dispatch: Dispatch) -> None:
        """The pipeline has the record."""

    def refused(self, dispatch: Dispatch, reason: str) -> None:
        """The pipeline will never take the record: this client may not send it."""

    def replied(self, correlation_id: bytes, value: bytes | None, headers: Headers = ()) -> None:
        """A reply came, perhaps to another client."""


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

    async def close(self) -> None:
        """Disconnect. What is not sent by then never will be."""


MakeLink = Callable[[CallTable, LinkEvents], Link]
