"""Brokers and topics: against what the pipeline needs and the catalogue wants."""

from dataclasses import replace

import pytest

from manyheads.infra.doctor.cluster import judge_cluster, judge_partitions
from manyheads.infra.doctor.findings import Finding, Status
from manyheads.infra.doctor.partitions import Cluster, Topic
from manyheads.infra.doctor.topics import cells_of, judge_copies, judge_topics, rings_of
from manyheads.topics.catalogue import ring_topics, shared_topics
from manyheads.topics.names import REGISTRY_TOPIC, TELEMETRY_TOPIC, cell, ring

EN, C0, C1 = ring("en"), cell("c0"), cell("c1")
SPECS = (*shared_topics(), *ring_topics(EN, [C0]))
GOOD = {
    spec.name: Topic(spec.name, spec.partitions, 1, (), (), {**spec.settings, "min.insync.replicas": "1"})
    for spec in SPECS
}
CREATE = "manyheads topics create --ring en"
CLUSTER = Cluster("abc", ("a:9092",), (), (4, 3), {"group.version": 1})


def judged(found: dict[str, Topic]) -> list[Finding]:
    return [finding for finding in judge_topics("ring en", SPECS, found, CREATE) if finding.status is not Status.OK]


def test_topics_as_the_catalogue_has_them() -> None:
    (finding,) = judge_topics("ring en", SPECS, GOOD, CREATE)
    assert finding.status is Status.OK
    assert finding.seen == f"{len(SPECS)} of {len(SPECS)} topics as they should be"


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_topic_is_named_with_the_command_that_creates_it(name: str) -> None:
    (finding,) = judged({other: topic for other, topic in GOOD.items() if other != name})
    assert (finding.subject, finding.seen) == (name, "missing")
    assert CREATE in finding.advice
    # Nobody's request fails for want of reports.
    assert finding.status is (Status.WARN if name == TELEMETRY_TOPIC else Status.FAIL)


def test_too_few_partitions() -> None:
    (finding,) = judged(GOOD | {"nlu.replies": replace(GOOD["nlu.replies"], partitions=1)})
    assert finding.status is Status.WARN
    assert "1 partition, 8 wanted" in finding.seen


def test_more_partitions_than_wanted_are_fine() -> None:
    assert judged(GOOD | {"nlu.replies": replace(GOOD["nlu.replies"], partitions=64)}) == []


@pytest.mark.parametrize(
    ("setting", "value", "status"),
    [
        ("cleanup.policy", "delete", Status.FAIL),
        ("min.cleanable.dirty.ratio", "0.5", Status.WARN),
    ],
)
def test_a_setting_that_differs(setting: str, value: str, status: Status) -> None:
    topic = GOOD[REGISTRY_TOPIC]
    (finding,) = judged(GOOD | {REGISTRY_TOPIC: replace(topic, settings={**topic.settings, setting: value})})
    assert finding.status is status
    assert finding.subject == REGISTRY_TOPIC
    assert f"{setting}={value}" in finding.seen


def copies(replicas: int, in_sync: int, brokers: int) -> dict[str, Status]:
    topics = [
        replace(topic, replicas=replicas, settings={"min.insync.replicas": str(in_sync)}) for topic in GOOD.values()
    ]
    return {finding.subject: finding.status for finding in judge_copies(topics, brokers)}


@pytest.mark.parametrize(
    ("replicas", "in_sync", "brokers", "expected"),
    [
        (1, 1, 1, {"copies": Status.OK}),
        (3, 2, 3, {"copies": Status.OK}),
        (2, 1, 3, {"copies": Status.OK}),
        (1, 1, 3, {"copies": Status.WARN}),
        (1, 2, 1, {"min.insync.replicas": Status.FAIL, "copies": Status.OK}),
        (3, 3, 3, {"min.insync.replicas": Status.WARN, "copies": Status.OK}),
        (3, 1, 3, {"min.insync.replicas": Status.WARN, "copies": Status.OK}),
    ],
)
def test_copies(replicas: int, in_sync: int, brokers: int, expected: dict[str, Status]) -> None:
    assert copies(replicas, in_sync, brokers) == expected


def test_one_copy_on_several_brokers_says_how_to_have_more() -> None:
    (finding,) = judge_copies(GOOD.values(), 3)
    assert "manyheads topics replicate 3" in finding.advice


def test_a_healthy_cluster() -> None:
    assert {finding.status for finding in judge_cluster(CLUSTER)} == {Status.OK}


@pytest.mark.parametrize(
    ("cluster", "subject", "status", "advice"),
    [
        (replace(CLUSTER, version=(3, 9)), "version", Status.FAIL, "upgrade the brokers"),
        (replace(CLUSTER, features={}), "group.version", Status.FAIL, "kafka-features.sh"),
        (replace(CLUSTER, fenced=("b:9092",)), "cluster", Status.WARN, "log of the missing broker"),
    ],
)
def test_a_cluster_that_is_too_old_or_not_whole(cluster: Cluster, subject: str, status: Status, advice: str) -> None:
    (finding,) = (finding for finding in judge_cluster(cluster) if finding.status is not Status.OK)
    assert (finding.subject, finding.status) == (subject, status)
    assert advice in finding.advice


def test_partitions_without_a_leader_and_with_old_copies() -> None:
    replies, registry = GOOD["nlu.replies"], GOOD[REGISTRY_TOPIC]
    leaderless, behind = judge_partitions(
        [replace(replies, leaderless=(1, 2)), replace(registry, under_replicated=(0,))]
    )
    assert (leaderless.status, behind.status) == (Status.FAIL, Status.WARN)
    assert "2 of 9 have no leader: nlu.replies-1, nlu.replies-2" in leaderless.seen
    assert "nlu.registry-0" in behind.seen


def test_rings_and_cells_by_their_topics() -> None:
    names = [spec.name for spec in (*ring_topics(EN, [C1, C0]), *ring_topics(ring("fr"), [C0]), *shared_topics())]
    assert rings_of(names) == (EN, ring("fr"))
    assert cells_of(EN, names) == (C0, C1)
