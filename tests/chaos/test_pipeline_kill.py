"""Workers and the broker killed (kill -9) under load: every request gets exactly one answer."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from manyheads.cli.ring_setup import RingSetup
from manyheads.infra.local import LocalStack, encoder_worker, head_worker
from manyheads.producers import Client, Counts
from tests.broker.pipelines import C0, EN, PLAIN, small_random
from tests.support.kafka import Kafka, NewKafka

REQUESTS = 1_500
KILL_AFTER = 300
TIMEOUT_S = 120.0
ENCODER, HEAD = 0, 1


@pytest.fixture(scope="module")
def mortal_kafka(new_kafka: NewKafka) -> Iterator[Kafka]:
    """A broker of this module's own, to be killed."""
    with new_kafka() as broker:
        yield broker


@pytest.fixture(scope="module")
def stack(mortal_kafka: Kafka) -> Iterator[LocalStack]:
    """One ring with one encoder worker (number 0) and two head workers (1 and 2)."""
    with LocalStack(kafka=mortal_kafka) as running, RingSetup(running, EN, (C0,)) as local:
        local.install(small_random)
        local.teach(PLAIN.tenant, PLAIN)
        running.workers.start(encoder_worker(EN), head_worker(EN, C0), head_worker(EN, C0))
        yield running
        running.workers.check()


async def under_load(stack: LocalStack, strike: Callable[[], None]) -> Counts:
    """Send the requests and strike in the middle; what the client has counted, once each has its one answer."""
    texts = [example.text for example in PLAIN.held_out]
    requests = [(PLAIN.tenant, texts[number % len(texts)]) for number in range(REQUESTS)]
    striking: asyncio.Task[None] | None = None
    answered: list[int] = []
    async with Client(stack.settings, timeout=TIMEOUT_S) as client:
        async for result in client.predict_many(requests, in_flight=64, ordered=False, timeout=TIMEOUT_S):
            result.unwrap()
            answered.append(result.index)
            if striking is None and len(answered) >= KILL_AFTER:
                striking = asyncio.create_task(asyncio.to_thread(strike))
        assert striking is not None
        await striking
        counts = client.counts
    assert sorted(answered) == list(range(REQUESTS))
    assert (counts.answered, counts.expired) == (REQUESTS, 0)
    return counts


def killed_and_restarted(stack: LocalStack, *workers: int) -> Callable[[], None]:
    def strike() -> None:
        for worker in workers:
            stack.workers.kill(worker)
        stack.workers.restart(*workers)

    return strike


@pytest.mark.parametrize(
    "victims", [(ENCODER,), (HEAD,), (ENCODER, HEAD)], ids=["the encoder worker", "a head worker", "both"]
)
async def test_killed_workers_lose_no_request(stack: LocalStack, victims: tuple[int, ...]) -> None:
    await under_load(stack, killed_and_restarted(stack, *victims))


async def test_a_worker_that_stops_in_order_hands_over(stack: LocalStack) -> None:
    counts = await under_load(stack, lambda: stack.workers.restart(HEAD))
    assert counts.duplicate_replies == 0  # it committed what it had answered


async def test_a_killed_broker_loses_no_request(mortal_kafka: Kafka, stack: LocalStack) -> None:
    def strike() -> None:
        mortal_kafka.kill()
        mortal_kafka.restart()

    await under_load(stack, strike)
