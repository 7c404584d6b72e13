"""The brokers: enough of them, new enough, every partition led and copied."""

from collections.abc import Iterator, Sequence

from manyheads.infra.doctor.findings import Area, Finding, counted, some
from manyheads.infra.doctor.partitions import Cluster, Topic

BROKER = Area("broker")
OLDEST = (4, 0)
_GROUPS = "group.version"
_SHOWN_VERSION = ".".join(map(str, OLDEST))


def judge_cluster(cluster: Cluster) -> Iterator[Finding]:
    """Version, features and size."""
    yield _judge_version(cluster)
    yield _judge_groups(cluster)
    if cluster.fenced:
        yield BROKER.warn(
            "cluster",
            f"{counted(len(cluster.brokers), 'broker')}; {some(cluster.fenced)} known, but not serving",
            "look at the log of the missing broker; the others lead its partitions where these have copies",
        )
    else:
        yield BROKER.ok("cluster", f"{counted(len(cluster.brokers), 'broker')}, id {cluster.cluster_id}")


def _judge_version(cluster: Cluster) -> Finding:
    version = ".".join(map(str, cluster.version))
    if cluster.version < OLDEST:
        return BROKER.fail(
            "version",
            f"Kafka {version}",
            f"workers need Kafka {_SHOWN_VERSION} or newer: upgrade the brokers",
        )
    return BROKER.ok("version", f"Kafka {version} or newer")


def _judge_groups(cluster: Cluster) -> Finding:
    level = cluster.features.get(_GROUPS, 0)
    if level < 1:
        return BROKER.fail(
            _GROUPS,
            f"level {level}",
            f"workers use the consumer group protocol of KIP-848: kafka-features.sh upgrade --feature {_GROUPS}=1",
        )
    return BROKER.ok(_GROUPS, f"level {level}: workers can use the group protocol of KIP-848")


def judge_partitions(topics: Sequence[Topic]) -> Iterator[Finding]:
    """Every partition has a leader, and all of its copies are up to date."""
    total = sum(topic.partitions for topic in topics)
    leaderless = [f"{topic.name}-{number}" for topic in topics for number in topic.leaderless]
    behind = [f"{topic.name}-{number}" for topic in topics for number in topic.under_replicated]
    if leaderless:
        yield BROKER.fail(
            "partitions",
            f"{len(leaderless):,} of {total:,} have no leader: {some(leaderless)}",
            "start the brokers that have their copies: nothing is read from or written to them until then",
        )
    if behind:
        yield BROKER.warn(
            "partitions",
            f"{len(behind):,} of {total:,} lack a copy that is up to date: {some(behind)}",
            "start the missing broker, or wait until it has caught up; losing another one may lose records",
        )
    if not leaderless and not behind:
        yield BROKER.ok("partitions", f"all {total:,} have a leader, and every copy is up to date")
