"""Hedged sends: only what is slow, only within the budget, and the first reply wins. Over the pipeline in memory."""

import asyncio

import pytest

from manyheads.producers import Answer, Client, ClientOptions, InvalidRequest, Lane
from manyheads.producers.hedging import SlowestOf
from manyheads.producers.sender import EvenSpread
from manyheads.producers.testing import SILENCE, Asked, FakeClock, FakeNlu, Says, Script

USUAL = Says("usual", delay=0.010)


def held(asked: Asked) -> Script:
    return SILENCE if asked.text.startswith("slow") else USUAL


async def used_to_ten_milliseconds(client: Client, clock: FakeClock, requests: int = 200) -> None:
    calls = [asyncio.create_task(client.predict("acme-bank", f"text {number}")) for number in range(requests)]
    await clock.advance(0.010)
    await asyncio.gather(*calls)


async def test_a_slow_request_is_sent_again_and_its_first_reply_wins() -> None:
    clock = FakeClock()
    nlu = FakeNlu(held, clock=clock)
    async with nlu.client(options=ClientOptions(hedge_budget=0.05)) as client:
        await used_to_ten_milliseconds(client, clock)
        slow: asyncio.Task[Answer] = asyncio.create_task(client.predict("acme-bank", "slow"))
        await clock.advance(0.009)
        assert [asked.text for asked in nlu.asked[200:]] == ["slow"]
        await clock.advance(0.002)
        first, second = nlu.asked[200:]
        assert first.envelope == second.envelope
        nlu.reply(second, Says("the second worker"))
        nlu.reply(first, Says("the first worker"))
        assert (await slow).intent.name == "the second worker"
        counts = client.counts
        assert (counts.hedged, counts.duplicate_replies, counts.in_flight, counts.answered) == (1, 1, 0, 201)


async def test_no_more_is_sent_again_than_the_budget_has() -> None:
    clock = FakeClock()
    nlu = FakeNlu(held, clock=clock)
    async with nlu.client(options=ClientOptions(hedge_budget=0.05)) as client:
        await used_to_ten_milliseconds(client, clock)
        calls = [asyncio.create_task(client.predict("acme-bank", f"slow {number}")) for number in range(500)]
        await clock.advance(1.0)
        assert 1 <= client.counts.hedged <= 0.05 * 700
        assert nlu.records == 700 + client.counts.hedged
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)


@pytest.mark.parametrize(
    ("lane", "budget", "known"), [(Lane.INTERACTIVE, 0.0, 200), (Lane.BATCH, 1.0, 200), (Lane.INTERACTIVE, 1.0, 50)]
)
async def test_nothing_is_sent_again_without_budget_on_the_batch_lane_or_before_latencies_are_known(
    lane: Lane, budget: float, known: int
) -> None:
    clock = FakeClock()
    nlu = FakeNlu(held, clock=clock)
    async with nlu.client(lane=lane, options=ClientOptions(hedge_budget=budget)) as client:
        await used_to_ten_milliseconds(client, clock, known)
        slow = asyncio.create_task(client.predict("acme-bank", "slow", timeout=5.0))
        await clock.advance(4.0)
        assert (nlu.records, client.counts.hedged) == (known + 1, 0)
        slow.cancel()


def test_what_is_slow_follows_the_latencies() -> None:
    slow = SlowestOf()
    for _ in range(99):
        slow.add(0.010)
    assert slow.delay is None
    for number in range(3_901):
        slow.add(0.200 if number % 10 == 0 else 0.010)
    assert slow.delay == pytest.approx(0.200, rel=0.02)
    for _ in range(4_000):
        slow.add(0.020)
    assert slow.delay == pytest.approx(0.020, rel=0.02)


def test_the_second_send_takes_another_partition_where_there_is_one() -> None:
    spread = EvenSpread()
    spread.avoid = 1
    assert {spread(None, [0, 1, 2], [0, 1, 2]) for _ in range(50)} == {0, 2}
    assert spread(None, [1], [1]) == 1


def test_a_budget_is_a_share() -> None:
    for wrong in (-0.1, 1.5, True):
        with pytest.raises(InvalidRequest, match="hedge_budget"):
            ClientOptions(hedge_budget=wrong)
