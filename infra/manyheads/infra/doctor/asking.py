"""What the checks ask of Kafka. Everything here reads; nothing is written, created or joined."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as At
from confluent_kafka.admin import AdminClient as ConfluentAdmin
from kafka.admin import ConfigResource, ConfigResourceType

from manyheads.infra.admin.client import AdminClient
from manyheads.infra.doctor.clocks import Reading
from manyheads.infra.doctor.partitions import Cluster, Topic
from manyheads.infra.doctor.registry import Registry
from manyheads.infra.doctor.workers import GroupState, Heard, StageGroup
from manyheads.infra.kafka.errors import log
from manyheads.infra.registry.follower import RegistryFollower
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.telemetry import Metrics
from manyheads.topics.errors import WireError
from manyheads.topics.metrics import REGISTRY_SKIPPED
from manyheads.topics.names import PREFIX, TELEMETRY_TOPIC
from manyheads.topics.telemetry import WorkerReport

_READINGS = 5
_REPORTS_MS = 60_000
_REPORTS_AT_ONCE = 500


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


def ask_workers(settings: KafkaSettings, timeout_s: float) -> tuple[Heard, ...]:
    """Every worker's latest report of the last minute, read outside any group.

    Raises confluent_kafka.KafkaException.
    """
    # A group's name is wanted, and none is ever joined.
    config = settings.confluent() | {"group.id": "manyheads-doctor-unused", "enable.partition.eof": True}
    consumer = Consumer({**config, "enable.auto.commit": False, "allow.auto.create.topics": False}, logger=log)
    try:
        partitions = consumer.list_topics(TELEMETRY_TOPIC, timeout=timeout_s).topics[TELEMETRY_TOPIC].partitions
        since_ms = round(time.time() * 1_000) - _REPORTS_MS
        starts = consumer.offsets_for_times([At(TELEMETRY_TOPIC, each, since_ms) for each in partitions], timeout_s)
        behind = {start.partition for start in starts if start.offset >= 0}
        consumer.assign([start for start in starts if start.partition in behind])
        latest: dict[tuple[str, str, str], Heard] = {}
        until = time.monotonic() + timeout_s
        while behind and time.monotonic() < until:
            for message in consumer.consume(_REPORTS_AT_ONCE, 0.1):
                error = message.error()
                if error is None:
                    kind, taken_ms = message.timestamp()
                    with suppress(WireError):  # of a newer version
                        report = WorkerReport.from_bytes(message.value())
                        by_broker = kind == TIMESTAMP_LOG_APPEND_TIME
                        # A restart has the name of the worker before it.
                        key = (report.worker.stage, report.worker.ring, report.worker.instance)
                        latest[key] = Heard(report, taken_ms if by_broker else None)
                elif error.code() == KafkaError._PARTITION_EOF:
                    behind.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
    return tuple(latest.values())


def ask_groups(settings: KafkaSettings, groups: Sequence[StageGroup], timeout_s: float) -> dict[str, GroupState]:
    """The groups, those that do not exist as DEAD, without joining them. Raises confluent_kafka.KafkaException."""
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
