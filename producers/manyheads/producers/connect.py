"""What the clients of aiokafka have in common: how they start, and what their errors mean."""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0

REFUSALS = (ClusterAuthorizationFailedError, GroupAuthorizationFailedError, TopicAuthorizationFailedError)
"""Errors that trying again does not mend: this client may not do that."""


async def until_connected(start: Callable[[], Awaitable[None]]) -> None:
    """Start a Kafka client, again and again until a broker answers. The caller sets the limit."""
    pause = _FIRST_PAUSE_S
    while True:
        try:
            await start()
        except KafkaConnectionError:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        else:
            return


def described(error: KafkaError) -> str:
    """One line of a Kafka error."""
    text = str(error).strip()
    name = type(error).__name__
    return text if text.startswith(name) else f"{name}: {text}" if text else name
