"""Hedged sends over a real broker: a worker that hangs holds up none of the requests that another could answer."""

import asyncio
from collections.abc import Sequence

from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Client, ClientOptions
from manyheads.topics.messages import Reply
from manyheads.topics.names import RingName
from tests.broker.sdk_responder import Asked, Responder, echo

USUAL = 200
"""requests from which the client learns how long they take"""


async def test_what_one_worker_leaves_lying_another_answers(
    kafka_settings: KafkaSettings, ring: RingName, responder: Responder
) -> None:
    left_lying: list[Asked] = []

    def answer(asked: Asked) -> Sequence[Reply]:
        if asked.text == "slow" and not left_lying:
            left_lying.append(asked)
            return []
        return echo(asked)

    responder.answer = answer
    options = ClientOptions(hedge_budget=0.1)
    async with Client(kafka_settings, ring=ring, timeout=60.0, options=options) as client:
        await asyncio.gather(*(client.predict("acme-bank", f"text {number}") for number in range(USUAL)))
        answered = await client.predict("acme-bank", "slow")
        assert answered.intent.name == "slow"
        first, second = (asked for asked in await responder.has_seen(USUAL + 2) if asked.text == "slow")
        assert first.partition != second.partition
        assert first.envelope == second.envelope
        assert client.counts.hedged >= 1

        await responder.reply(left_lying[0], echo(left_lying[0])[0])
        while client.counts.duplicate_replies < client.counts.hedged:  # noqa: ASYNC110 - the counts tell nobody
            await asyncio.sleep(0.01)
        assert (client.counts.answered, client.counts.in_flight) == (USUAL + 1, 0)
