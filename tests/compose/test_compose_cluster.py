"""The profile ``cluster``: three brokers, three copies of everything, and any one of them may fail."""

import asyncio

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.compose.under_load import under_load
from tests.support.compose import ComposeStack

PROFILES = ("cluster",)
_SOON_S = 30.0


def replicate(stack: ComposeStack) -> None:
    """Return when the one-shot service that copies the topics has done so."""
    (done,) = [each for each in stack.containers("replicate", every=True) if each["State"]["Status"] == "exited"]
    assert done["State"]["ExitCode"] == 0, stack.compose("logs", "replicate").stdout


async def test_a_lost_broker_loses_no_request(stack: ComposeStack) -> None:
    replicate(stack)
    topics = AdminClient({**stack.settings.confluent()}).list_topics(timeout=10).topics
    for name in ("nlu.en.requests", "nlu.en.c0.embeddings", "nlu.replies", "__consumer_offsets"):
        assert all(len(partition.replicas) == 3 for partition in topics[name].partitions.values()), name
    assert {partition.leader for partition in topics["nlu.en.c0.embeddings"].partitions.values()} == {1, 2, 3}

    async def strike() -> None:
        await asyncio.to_thread(stack.compose, "kill", "kafka-3")

    await under_load(stack, strike)


async def test_the_first_broker_may_be_the_one(stack: ComposeStack) -> None:
    """It began as the only controller: the others have joined its quorum, and one of them decides from then on."""
    stack.up("--no-recreate")

    async def strike() -> None:
        await asyncio.to_thread(stack.compose, "kill", "kafka")

    await under_load(stack, strike)
    # Only a controller with a majority behind it can create a topic.
    admin = AdminClient({**stack.settings.confluent()})
    created = admin.create_topics([NewTopic("decided.without.the.first", 1, 2)], operation_timeout=_SOON_S)
    await asyncio.to_thread(created["decided.without.the.first"].result, _SOON_S)
