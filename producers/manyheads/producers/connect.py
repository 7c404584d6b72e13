"""What the clients of aiokafka have in common: how they start, and what their errors mean."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0
_PATIENCE_S = 0.25

REFUSALS = (ClusterAuthorizationFailedError, GroupAuthorizationFailedError, TopicAuthorizationFailedError)
"""Errors that trying again does not mend: this client may not do that."""


async def until_connected(start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a Kafka client, again and again until a broker answers. The caller sets the limit.

    A client whose start is cancelled may be connected: stop it.
    """
    pause = _FIRST_PAUSE_S
    while True:
        try:
            await _unless_cancelled_for_long(asyncio.create_task(start()))
        except KafkaConnectionError:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        else:
            return


async def _unless_cancelled_for_long(starting: asyncio.Task[None]) -> None:
    # In the middle of its start aiokafka would lose sight of a connection that it has just made, and nobody could close
    # it. To the end it is a matter of milliseconds, where a broker answers at all.
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting], timeout=_PATIENCE_S)
        raise
    finally:
        if not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
        if not starting.cancelled():
            starting.exception()  # where nobody waits for it any more


def described(error: KafkaError) -> str:
    """One line of a Kafka error."""
    text = str(error).strip()
    name = type(error).__name__
    return text if text.startswith(name) else f"{name}: {text}" if text else name
