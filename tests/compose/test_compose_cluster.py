"""The profile ``cluster``: three brokers, three copies of everything, and any one of them may fail."""

import asyncio

from confluent_kafka.admin import AdminClient

from tests.compose.under_load import under_load
from tests.support.compose import ComposeStack

PROFILES = ("cluster",)


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


def test_the_first_broker_may_be_the_one(stack: ComposeStack) -> None:
    """It began as the only controller: the others have joined its quorum."""
    stack.up("--no-recreate")
    stack.compose("kill", "kafka")
    report = stack.compose(
        "exec", "-T", "kafka-2", "/opt/kafka/bin/kafka-metadata-quorum.sh", "--bootstrap-controller", "kafka-2:9093",
        "describe", "--status",
    ).stdout  # fmt: skip
    leader = next(line.split()[-1] for line in report.splitlines() if line.startswith("LeaderId"))
    assert leader in ("2", "3"), report
