"""What a job would be, and how long it would take: counted, and measured with a short probe."""

import asyncio
import time
from dataclasses import dataclass
from itertools import islice

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.client import Client
from manyheads.producers.reprocess.asking import Asker
from manyheads.producers.reprocess.columns import spilled_schema
from manyheads.producers.reprocess.options import JobOptions, Pace
from manyheads.producers.reprocess.plan import Plan
from manyheads.producers.reprocess.preparation import Preparation
from manyheads.producers.reprocess.spill import Spill
from manyheads.producers.reprocess.work import Ask, Key, Outcome, asks_of, refusal, rows_of
from manyheads.topics.errors import ManyheadsError

_PROBE_REQUESTS = 1_000
_PROBE_S = 10.0


@dataclass(frozen=True, slots=True)
class Probe:
    """What a short trial gave. Its answers are thrown away."""

    answers: int
    seconds: float
    trouble: str | None = None
    """why there is no measurement"""

    @property
    def rate(self) -> float | None:
        """Answers a second."""
        return self.answers / self.seconds if self.answers and self.seconds else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job would be."""

    rows: int
    texts: int
    """distinct ones"""
    pairs: int
    """distinct pairs of tenant and text: answers that are needed"""
    requests: int
    """records that would be sent"""
    unusable: int
    """rows that would be rejected unsent"""
    buckets: int
    probe: Probe

    @property
    def seconds(self) -> float | None:
        """How long one process would take at the probe's rate; None without one."""
        answers = max(self.pairs, self.requests)
        return None if self.probe.rate is None else answers / self.probe.rate


async def estimated(
    settings: KafkaSettings, options: JobOptions, pace: Pace, *, since_ms: int | None = None
) -> Estimate:
    """Read and count everything, then send a few requests to see how fast they are answered. Nothing is written.

    Raises:
        InvalidRequest: an input cannot be used.
        BrokerError: an input that is a topic cannot be read.
    """
    preparation = Preparation(settings, options, since_ms)
    plan = await asyncio.to_thread(preparation.own_plan)
    with Spill(spilled_schema(plan.extras), range(plan.buckets)) as spill:
        await asyncio.to_thread(preparation.spill, plan, spill, lambda _: None)
        counted = await asyncio.to_thread(_counted, plan, spill, options)
        probe = await _probed(settings, options, pace, counted.some)
    return Estimate(
        rows=sum(spill.rows.values()),
        texts=counted.texts,
        pairs=counted.pairs,
        requests=counted.requests,
        unusable=counted.unusable,
        buckets=plan.buckets,
        probe=probe,
    )


@dataclass(slots=True)
class _Counted:
    texts: int = 0
    pairs: int = 0
    requests: int = 0
    unusable: int = 0
    some: tuple[Ask, ...] = ()


def _counted(plan: Plan, spill: Spill, options: JobOptions) -> _Counted:
    counted = _Counted()
    for bucket in range(plan.buckets):
        asks = asks_of(spill.read(bucket), dedupe=options.dedupe)
        counted.requests += len(asks)
        counted.texts += len({ask.text for ask in asks})
        counted.pairs += len({(ask.text, tenant) for ask in asks for tenant in ask.tenants})
        counted.unusable += sum(refusal(row) is not None for batch in spill.read(bucket) for row in rows_of(batch))
        counted.some = (*counted.some, *islice(asks, _PROBE_REQUESTS - len(counted.some)))
    return counted


async def _probed(settings: KafkaSettings, options: JobOptions, pace: Pace, asks: tuple[Ask, ...]) -> Probe:
    if not asks:
        return Probe(0, 0.0, "no row can be asked")
    outcomes: dict[Key, Outcome] = {}
    began = time.monotonic()
    try:
        async with Client(settings, ring=options.ring, lane=options.lane, timeout=_PROBE_S) as client:
            began = time.monotonic()
            try:
                async with asyncio.timeout(_PROBE_S):
                    await Asker(client, pace).ask(asks, outcomes)
            except TimeoutError:
                pass
            seconds = time.monotonic() - began
    except ManyheadsError as error:
        return Probe(0, time.monotonic() - began, error.message)
    return Probe(len(outcomes), seconds, None if outcomes else f"nothing was answered within {_PROBE_S:.0f} s")
