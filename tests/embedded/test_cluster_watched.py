"""The lag and the doctor on three brokers of which one hangs or dies: what the others know is shown all the while."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from manyheads.infra.broker import EmbeddedKafka
from manyheads.infra.doctor import DoctorOptions, Finding, Status, examine
from manyheads.infra.kafka.confluent import ConfluentTransport
from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.kafka.records import TopicPartition as At
from manyheads.infra.kafka.transport import Delivery, PublishFailure
from manyheads.infra.lag import LagMonitor, LagSnapshot, LagState, PartitionLag
from manyheads.infra.lag.bounds import Bounds, leaders_of, read_bounds
from manyheads.infra.lag.connection import Connection
from manyheads.infra.settings import KafkaSettings
from tests.support.lag import commit, figures_of, group_of, only, polled_until, producing, write
from tests.support.load import wait_until

READERS = "readers"
PATIENCE_S = 180.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedKafka]:
    """Three brokers. ``nlu.alone`` has a partition on each, ``nlu.copied`` all on all; READERS is behind by 18."""
    with EmbeddedKafka(3, start_timeout_s=PATIENCE_S) as kafka:
        admin = AdminClient({**kafka.settings().confluent()})
        alone = NewTopic("nlu.alone", 3, replica_assignment=[[0], [1], [2]])
        copied = NewTopic("nlu.copied", 3, replica_assignment=[[0, 1, 2], [1, 2, 0], [2, 0, 1]])
        for future in admin.create_topics([alone, copied]).values():
            future.result(PATIENCE_S)
        with producing(kafka.settings()) as producer:
            for partition in range(3):
                write(producer, "nlu.alone", 4, partition)
                write(producer, "nlu.copied", 4, partition)
        for topic in ("nlu.alone", "nlu.copied"):
            commit(kafka.settings(), READERS, topic, {0: 1, 1: 1, 2: 1})
        yield kafka


def coordinator_of(settings: KafkaSettings) -> int:
    admin = AdminClient({**settings.confluent()})
    return int(admin.describe_consumer_groups([READERS])[READERS].result(30).coordinator.id)


def partitions_of(snapshot: LagSnapshot, topic: str) -> dict[int, PartitionLag]:
    """Those of the topic that the readers have; none while they cannot be measured."""
    groups = [group for group in snapshot.groups if group.group == READERS]
    return {each.partition: each for group in groups for each in group.partitions if each.topic == topic}


def lags_of(snapshot: LagSnapshot, topic: str) -> list[int | None]:
    return [each.lag for each in partitions_of(snapshot, topic).values()]


def test_who_asks_the_former_leader_asks_the_new_one_in_the_same_round(cluster: EmbeddedKafka) -> None:
    wanted = [At("nlu.copied", 0), At("nlu.alone", 1)]
    connection = Connection.within(cluster.settings(), PATIENCE_S)
    connection.begin(time.monotonic() + PATIENCE_S)
    leaders = leaders_of(connection.metadata())
    former = {at: (leader + 1) % 3 for at, leader in leaders.items()}
    now, bounds = read_bounds(connection, former, wanted)
    connection.close()
    assert bounds == {at: Bounds(0, 4) for at in wanted}
    assert {at: now[at] for at in wanted} == {at: leaders[at] for at in wanted}


def test_a_broker_of_several_hangs_and_comes_back(cluster: EmbeddedKafka) -> None:
    settings = cluster.settings()
    victim = (coordinator_of(settings) + 1) % 3

    def says(snapshot: LagSnapshot, words: str) -> bool:
        lag = partitions_of(snapshot, "nlu.alone").get(victim)
        return lag is not None and lag.state is LagState.ERR and words in lag.sentence

    with LagMonitor(settings, only(READERS), timeout_s=4) as monitor:
        polled_until(monitor, lambda each: figures_of(each, READERS) == 18)
        cluster.freeze(victim)
        hangs = polled_until(monitor, lambda each: says(each, f"its leader, broker {victim}, does not answer"))
        assert sorted(lags_of(hangs, "nlu.alone"), key=str) == [3, 3, None], "the others answer in the same round"
        fenced = polled_until(monitor, lambda each: says(each, "the partition has no leader"))
        assert group_of(fenced, READERS).state is LagState.ERR
        polled_until(monitor, lambda each: lags_of(each, "nlu.copied") == [3, 3, 3])  # another broker leads them now
        cluster.thaw(victim)
        polled_until(monitor, lambda each: figures_of(each, READERS) == 18)


def test_what_a_sender_named_is_not_waited_for_without_a_leader(cluster: EmbeddedKafka) -> None:
    admin = AdminClient({**cluster.settings().confluent()})
    admin.create_topics([NewTopic("their.replies", 1, replica_assignment=[[1]])])["their.replies"].result(PATIENCE_S)
    transport = ConfluentTransport(cluster.settings())
    publisher = transport.transactions("theirs")  # whose records are lost after 15 s
    wait_until(lambda: publisher.begin(1.0))
    cluster.kill(1)
    assert publisher.publish(Outgoing("their.replies", b"x", partition=0), "theirs") is None
    found: list[Delivery] = []

    def told() -> bool:
        found.extend(publisher.deliveries(1.0))
        return bool(found)

    wait_until(told)
    assert [each.failure for each in found] == [PublishFailure.LOST]
    assert publisher.publish(Outgoing("their.replies", b"x", partition=0), "again") is PublishFailure.REFUSED
    assert publisher.publish(Outgoing("nlu.alone", b"x", partition=1), "ours") is None, "its leader comes back"
    cluster.restart(1)
    wait_until(lambda: publisher.publish(Outgoing("their.replies", b"x", partition=0), "third") is None)
    publisher.close(1.0)


def examined(cluster: EmbeddedKafka, store: Path) -> dict[str, Finding]:
    findings = examine(DoctorOptions(cluster.bootstrap_servers, str(store)))
    # Of several with one subject the first, which is the worst.
    return {finding.subject: finding for finding in reversed(list(findings)) if finding.area == "broker"}


def test_the_doctor_names_the_broker_that_is_lost(cluster: EmbeddedKafka, tmp_path: Path) -> None:
    addresses = cluster.bootstrap_servers.split(",")
    # The broker that hung just now may not have caught up with the others yet.
    wait_until(lambda: {finding.status for finding in examined(cluster, tmp_path).values()} == {Status.OK})
    whole = examined(cluster, tmp_path)
    assert whole["cluster"].seen.startswith("3 brokers")
    cluster.kill(2)
    wait_until(lambda: examined(cluster, tmp_path)["partitions"].status is Status.FAIL)
    lost = examined(cluster, tmp_path)
    assert lost[addresses[2]].status is Status.WARN, "the others are enough"
    assert "it cannot be connected to" in lost[addresses[2]].seen
    assert "nlu.alone-2" in lost["partitions"].seen
    assert "start the broker" in lost["partitions"].advice
    cluster.restart(2)


def test_the_broker_that_coordinates_a_group_dies(cluster: EmbeddedKafka) -> None:
    settings = cluster.settings()
    victim = coordinator_of(settings)
    with LagMonitor(settings, only(READERS), timeout_s=4) as monitor:
        polled_until(monitor, lambda each: figures_of(each, READERS) == 18)
        cluster.kill(victim)
        lost = polled_until(monitor, lambda each: each.broker is None and each.state is LagState.ERR)
        assert "broker" in group_of(lost, READERS).sentence
        # All but the partition that only the lost broker has.
        polled_until(
            monitor, lambda each: lags_of(each, "nlu.alone").count(3) == 2 and lags_of(each, "nlu.copied") == [3] * 3
        )
        cluster.restart(victim)
        polled_until(monitor, lambda each: figures_of(each, READERS) == 18)
