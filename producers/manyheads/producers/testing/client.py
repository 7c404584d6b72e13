"""The client of a pipeline in memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from manyheads.producers.client import Client
from manyheads.producers.metrics import ClientMetrics
from manyheads.producers.options import DEFAULT_OPTIONS, ClientOptions
from manyheads.producers.setup import Setup
from manyheads.producers.testing.link import MemoryLink
from manyheads.topics.names import Lane

if TYPE_CHECKING:
    from manyheads.producers.testing.nlu import FakeNlu


class FakeClient(Client):
    """A client that talks to a :class:`FakeNlu` instead of Kafka; everything else is the client's own code.

    Args:
        nlu: who answers.
        ring, lane, timeout, max_in_flight, options, metrics: as for :class:`manyheads.producers.Client`.

    Raises:
        InvalidRequest: invalid_name or invalid_argument.
    """

    def __init__(
        self,
        nlu: FakeNlu,
        *,
        ring: str = "en",
        lane: Lane = Lane.INTERACTIVE,
        timeout: float = 10.0,
        max_in_flight: int = 10_000,
        options: ClientOptions = DEFAULT_OPTIONS,
        metrics: ClientMetrics | None = None,
    ) -> None:
        setup = Setup.checked(
            ring=ring, lane=lane, timeout=timeout, max_in_flight=max_in_flight, options=options, metrics=metrics
        )
        self._prepare(setup, partial(MemoryLink, nlu), nlu.clock)
