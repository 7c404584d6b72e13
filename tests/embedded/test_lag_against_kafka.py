"""The lag of every partition against Kafka's own ``kafka-consumer-groups.sh``, run from the jars of its release."""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, TopicPartition

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker.jars import LockedJar, class_path, locked_jars
from manyheads.infra.broker.java import find_java
from manyheads.infra.lag import LagMonitor
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.names import RingName
from tests.support.lag import PATIENCE_S, commit, only, polled_until, producing, write

TOOLS = LockedJar(
    "org.apache.kafka",
    "kafka-tools",
    "4.3.1",
    "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c",
)
COMMAND = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
UNKNOWN = "-"
MARKERS = 2
"""of the transactions that are not done; Kafka counts them"""


@dataclass(frozen=True)
class Row:
    """One line of the command's table; what Kafka does not know is None."""

    committed: int | None
    end: int | None
    lag: int | None
    consumer: str | None
    host: str | None


Table = dict[tuple[str, str, int], Row]
"""by group, topic and partition"""


@pytest.fixture(scope="module")
def jars() -> str:
    """The command's class path. The tools come from where the brokers' jars do."""
    assert TOOLS.version in {jar.version for jar in locked_jars() if jar.artifact == "kafka-clients"}, "relock TOOLS"
    return class_path([*locked_jars(), TOOLS])


def described(settings: KafkaSettings, jars: str, *groups: str) -> Table:
    """What the command prints of the groups."""
    chosen = [argument for group in groups for argument in ("--group", group)]
    servers = ["--bootstrap-server", settings.bootstrap_servers]
    java = [str(find_java().program), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jars, COMMAND]
    answer = subprocess.run(
        [*java, *servers, "--describe", *chosen, "--timeout", f"{PATIENCE_S * 1_000:.0f}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=4 * PATIENCE_S,
    )
    lines = [line.split() for line in answer.stdout.splitlines()]
    (heading, *_) = (line for line in lines if line[:2] == ["GROUP", "TOPIC"])
    rows = [dict(zip(heading, line, strict=True)) for line in lines if line and line[0] in groups]
    return {(row["GROUP"], row["TOPIC"], int(row["PARTITION"])): _row(row) for row in rows}


def _row(cells: Mapping[str, str]) -> Row:
    known = {name: text for name, text in cells.items() if text != UNKNOWN}

    def number(name: str) -> int | None:
        return int(known[name]) if name in known else None

    return Row(
        committed=number("CURRENT-OFFSET"),
        end=number("LOG-END-OFFSET"),
        lag=number("LAG"),
        consumer=known.get("CONSUMER-ID"),
        host=known["HOST"].lstrip("/") if "HOST" in known else None,
    )


@pytest.fixture
def topics(topic_admin: TopicAdmin, unique_ring: RingName) -> Iterator[tuple[str, str]]:
    """One for records, and one for transactions."""
    names = f"{unique_ring}-records", f"{unique_ring}-transactions"
    topic_admin.ensure([TopicSpec(names[0], 4), TopicSpec(names[1], 2)])
    yield names
    topic_admin.delete(names)


def test_every_partition_of_every_group(
    kafka_settings: KafkaSettings, topics: tuple[str, str], unique_ring: RingName, jars: str
) -> None:
    records, transactions = topics
    idle, busy, batch = f"{unique_ring}-idle", f"{unique_ring}-busy", f"{unique_ring}-batch"
    with producing(kafka_settings) as producer:
        for partition, count in enumerate((7, 0, 12, 3)):
            write(producer, records, count, partition)
    with producing(kafka_settings, unique_ring) as producer:
        for _ in range(3):
            producer.begin_transaction()
            write(producer, transactions, 2, 0)
            producer.commit_transaction(30)
    commit(kafka_settings, idle, records, {0: 7, 1: 0, 2: 5})
    commit(kafka_settings, batch, transactions, {0: 4})
    options = {"group.id": busy, "group.protocol": "consumer", "enable.auto.commit": False}
    consumer = Consumer(kafka_settings.confluent() | options | {"auto.offset.reset": "earliest"})
    consumer.subscribe([records])

    with LagMonitor(kafka_settings, only(unique_ring)) as monitor:

        def is_assigned() -> bool:
            consumer.poll(0.1)
            return len(consumer.assignment()) == 4

        polled_until(monitor, lambda _: is_assigned())
        consumer.commit(offsets=[TopicPartition(records, 2, 11)], asynchronous=False)
        theirs = described(kafka_settings, jars, idle, busy, batch)
        snapshot = polled_until(monitor, lambda each: len(each.groups) == 3)
    consumer.close()

    ours = {(group.group, lag.topic, lag.partition): lag for group in snapshot.groups for lag in group.partitions}
    assert ours.keys() == theirs.keys()
    assert len(ours) == 3 + 4 + 1
    for at, row in theirs.items():
        lag, group = ours[at], at[0]
        assert lag.lag is not None
        assert (lag.committed, lag.end) == (row.committed, row.end), at
        assert (lag.member and (lag.member.id, lag.member.host)) == (row.consumer and (row.consumer, row.host)), at
        if row.committed is None:
            assert (row.lag, lag.lag) == (None, row.end), "Kafka tells no lag before the first commit; all of it waits"
        else:
            assert row.lag == lag.lag + (MARKERS if group == batch else 0), at
    assert sum(lag.member is not None for lag in ours.values()) == 4
    assert [lag.lag for at, lag in ours.items() if at[0] == busy] == [7, 0, 1, 3]
