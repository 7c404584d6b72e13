"""Open-loop load: requests leave when a Poisson process says so, whether or not earlier ones were answered.

Latency counts from the intended send time, so a stall is charged to every request that it held up (coordinated
omission is not possible).
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from manyheads.producers import Client
from manyheads.topics.errors import ManyheadsError


@dataclass(frozen=True, slots=True)
class Load:
    """What one run saw."""

    rate: float
    """requests/s that were offered"""
    latencies_ms: tuple[float, ...]
    """of the answered ones, sorted"""
    errors: tuple[tuple[str, int], ...]

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that ``share`` of all requests kept; infinite where an error is among them."""
        count = len(self.latencies_ms) + sum(number for _, number in self.errors)
        index = min(count - 1, int(share * count))
        return self.latencies_ms[index] if index < len(self.latencies_ms) else float("inf")


async def offer(client: Client, requests: Sequence[tuple[str, str]], rate: float, seconds: float, seed: int) -> Load:
    """Offer (tenant, text) pairs, round robin, at ``rate`` requests/s for ``seconds``; wait for the last answer."""
    rng = random.Random(seed)
    latencies: list[float] = []
    errors: Counter[str] = Counter()

    async def one(tenant: str, text: str, intended: float) -> None:
        try:
            await client.predict(tenant, text)
        except ManyheadsError as error:
            errors[error.code] += 1
        else:
            latencies.append((time.perf_counter() - intended) * 1000)

    intended = start = time.perf_counter()
    index = 0
    async with asyncio.TaskGroup() as tasks:
        while (intended := intended + rng.expovariate(rate)) < start + seconds:
            delay = intended - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            tenant, text = requests[index % len(requests)]
            tasks.create_task(one(tenant, text, intended))
            index += 1
    return Load(rate, tuple(sorted(latencies)), tuple(sorted(errors.items())))
