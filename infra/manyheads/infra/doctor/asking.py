"""What the checks ask of Kafka. Everything here reads; nothing is written, created or joined."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType

from manyheads.infra.admin.client import AdminClient
from manyheads.infra.doctor.clocks import Reading
from manyheads.infra.doctor.partitions import Cluster, Topic
from manyheads.infra.doctor.registry import Registry
from manyheads.infra.doctor.workers import GroupState, StageGroup
from manyheads.infra.registry.follower import RegistryFollower
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.telemetry import Metrics
from manyheads.topics.metrics import REGISTRY_SKIPPED
from manyheads.topics.names import PREFIX

_READINGS = 5


def ask_cluster(client: AdminClient) -> Cluster:
    """The brokers and their features. Raises kafka.errors.KafkaError."""
    described = client.describe_cluster()
    features = client.describe_features()
    brokers: dict[bool, list[str]] = {False: [], True: []}
    for broker in described["brokers"]:
        brokers[broker.get("is_fenced", False)].append(f"{broker['host']}:{broker['port']}")
    return Cluster(
        cluster_id=described["cluster_id"],
        brokers=tuple(brokers[False]),
        fenced=tuple(brokers[True]),
        version=tuple(client.get_broker_version_data(described["brokers"][0]["broker_id"]).broker_version),
        features={name: levels["finalized"][1] for name, levels in features.items() if "finalized" in levels},
    )


def ask_topics(client: AdminClient) -> tuple[Topic, ...]:
    """The pipeline's topics with their settings, and Kafka's own without. Raises kafka.errors.KafkaError."""
    described = [
        topic
        for topic in client.describe_topics(None)
        if topic["is_internal"] or topic["name"].startswith(f"{PREFIX}.")
    ]
    ours = [topic["name"] for topic in described if not topic["is_internal"]]
    settings: dict[str, Any] = {}
    if ours:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in ours]
        settings = client.describe_configs(resources, config_filter="all")["topic"]
    return tuple(_topic(topic, settings.get(topic["name"], {})) for topic in described)


def _topic(described: dict[str, Any], settings: dict[str, dict[str, Any]]) -> Topic:
    partitions = described["partitions"]
    return Topic(
        name=described["name"],
        partitions=len(partitions),
        replicas=min((len(partition["replica_nodes"]) for partition in partitions), default=0),
        leaderless=tuple(each["partition_index"] for each in partitions if each["leader_id"] < 0),
        under_replicated=tuple(
            each["partition_index"] for each in partitions if len(each["isr_nodes"]) < len(each["replica_nodes"])
        ),
        settings={name: str(entry["value"]) for name, entry in settings.items()},
        internal=described["is_internal"],
    )


def ask_time(client: AdminClient) -> tuple[Reading, ...]:
    """The active controller's clock, several times. Raises kafka.errors.KafkaError; empty if it tells no time."""
    readings = []
    for _ in range(_READINGS):
        asked = time.time()
        quorum = client.describe_metadata_quorum()
        answered = time.time()
        (partition,) = quorum["topics"][0]["partitions"]
        # The leader's own entry has its present time; before version 1 of the answer there is none.
        stated = [
            voter["last_caught_up_timestamp"]
            for voter in partition["current_voters"]
            if voter["replica_id"] == partition["leader_id"] and voter["last_caught_up_timestamp"] > 0
        ]
        readings += [Reading(asked * 1_000, time_ms, answered * 1_000) for time_ms in stated]
    return tuple(readings)


def ask_registry(settings: KafkaSettings, timeout_s: float) -> Registry:
    """The registry as it is now, read outside any group. Raises BrokerError."""
    metrics = Metrics()
    follower = RegistryFollower(settings, metrics)
    follower.start(timeout_s)
    with follower:
        samples = [sample for family in metrics.registry.collect() for sample in family.samples]
        skipped = sum(sample.value for sample in samples if sample.name == REGISTRY_SKIPPED.name)
        return Registry(follower.snapshot, int(skipped))


def ask_groups(settings: KafkaSettings, groups: Sequence[StageGroup], timeout_s: float) -> dict[str, GroupState]:
    """The groups, those that do not exist as DEAD, without joining them. Raises confluent_kafka.KafkaException."""
    from confluent_kafka.admin import AdminClient as ConfluentAdmin  # noqa: PLC0415 - kafka-python is enough for others

    from manyheads.infra.kafka.errors import log  # noqa: PLC0415

    if not groups:
        return {}
    config: dict[str, Any] = {**settings.confluent()}
    client = ConfluentAdmin(config, logger=log)
    answers = client.describe_consumer_groups([each.group for each in groups], request_timeout=timeout_s)
    return {each.group: _group(answers[each.group], timeout_s) for each in groups}


def _group(answer: Future[Any], timeout_s: float) -> GroupState:
    described = answer.result(timeout_s)
    assigned = [each.partition for member in described.members for each in member.assignment.topic_partitions]
    return GroupState(described.state.name, len(described.members), frozenset(assigned))
