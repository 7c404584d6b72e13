"""The SDK: send a text, get back what a tenant's head makes of it::

    async with Client("localhost:9092") as nlu:
        answer = await nlu.predict("acme-bank", "move 40 euros to my savings")
        print(answer.intent.name, answer.intent.confidence, answer.entities)

Every error is a :class:`ManyheadsError` with a stable ``code``, a message that says what to do, and ``details``.
"""

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.answer import Answer, Entity, PredictRequest, Result
from manyheads.producers.client import Client
from manyheads.producers.counts import Counts
from manyheads.producers.options import ClientOptions
from manyheads.producers.sync import SyncClient
from manyheads.producers.ticket import Ticket
from manyheads.topics.errors import (
    ArtifactError,
    BrokerError,
    ClientClosed,
    DeadlineExceeded,
    ErrorCode,
    InternalError,
    InvalidRequest,
    InvalidSettings,
    ManyheadsError,
    Overloaded,
    RoutingError,
    WireError,
)
from manyheads.topics.messages import Intent, StageTiming, Timings, Truncation, Versions
from manyheads.topics.names import Lane

__all__ = [
    "Answer",
    "ArtifactError",
    "BrokerError",
    "Client",
    "ClientClosed",
    "ClientOptions",
    "Counts",
    "DeadlineExceeded",
    "Entity",
    "ErrorCode",
    "Intent",
    "InternalError",
    "InvalidRequest",
    "InvalidSettings",
    "KafkaSettings",
    "Lane",
    "ManyheadsError",
    "Overloaded",
    "PredictRequest",
    "Result",
    "RoutingError",
    "StageTiming",
    "SyncClient",
    "Ticket",
    "Timings",
    "Truncation",
    "Versions",
    "WireError",
]
