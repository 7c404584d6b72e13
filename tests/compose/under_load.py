"""Requests of the demo's tenants from this machine, while something happens to the stack."""

import asyncio
from collections.abc import Awaitable, Callable

from manyheads.cli.demo.load import shuffled_requests
from manyheads.cli.demo.utterances import load_tenants
from manyheads.producers import Client
from tests.support.compose import ComposeStack

_REQUESTS = 1_000
_STRIKE_AFTER = 200
_TIMEOUT_S = 180.0


async def under_load(stack: ComposeStack, strike: Callable[[], Awaitable[None]]) -> None:
    """Send requests and strike in the middle; every request gets its one answer, those after the strike too."""
    requests = [(asked.tenant, asked.example.text) for asked in shuffled_requests(load_tenants(), _REQUESTS)]
    answered: list[int] = []
    striking: asyncio.Task[None] | None = None

    async def start() -> None:
        await strike()

    async with Client(stack.settings, timeout=_TIMEOUT_S) as client:
        async for result in client.predict_many(requests, in_flight=32, ordered=False, timeout=_TIMEOUT_S):
            answer = result.unwrap()
            assert answer.tenant == requests[result.index][0]
            answered.append(result.index)
            if striking is None and len(answered) >= _STRIKE_AFTER:
                striking = asyncio.create_task(start())
        assert striking is not None
        await striking
        await client.predict(*requests[0])
        counts = client.counts
    assert sorted(answered) == list(range(_REQUESTS))
    assert (counts.answered, counts.expired) == (_REQUESTS + 1, 0)
