"""Lag while something is wrong: each time a state and a sentence, and figures again afterwards."""

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from manyheads.infra.lag import GroupLag, LagMonitor, LagSnapshot, LagState, Rules
from manyheads.infra.settings import KafkaSettings
from tests.support.kafka import NewKafka
from tests.support.lag import (
    Hands,
    commit,
    figures_of,
    group_of,
    only,
    polled_until,
    producing,
    settled,
    write,
)


@pytest.fixture
def admin(kafka_settings: KafkaSettings) -> AdminClient:
    return AdminClient({**kafka_settings.confluent()})


@pytest.fixture
def name(unique_ring: str, admin: AdminClient) -> Iterator[str]:
    """Of a topic that is no stage's, and of a group that reads it: 10 records, and what is before 4 is done."""
    create(admin, NewTopic(unique_ring, 1, 1))
    yield unique_ring
    admin.delete_topics([unique_ring])[unique_ring].exception(30)


@pytest.fixture
def behind(kafka_settings: KafkaSettings, name: str) -> str:
    with producing(kafka_settings) as producer:
        write(producer, name, 10)
    commit(kafka_settings, name, name, {0: 4})
    return name


def create(admin: AdminClient, *topics: NewTopic) -> None:
    for future in admin.create_topics([*topics]).values():
        future.result(30)


def test_a_group_without_members_stops_once_something_waits(kafka_settings: KafkaSettings, behind: str) -> None:
    hands = Hands()
    with LagMonitor(kafka_settings, only(behind), rules=Rules(patience_s=4), clock=hands.clock()) as monitor:
        states = []
        for _ in range(3):
            lag = group_of(monitor.poll(), behind)
            states.append(lag.state)
            hands.now_s += 2
        assert states == [LagState.OK, LagState.OK, LagState.STOP]
        assert (lag.members, lag.kafka_state, lag.lag) == ((), "Empty", 6)
        assert lag.sentence.endswith("6 records wait, and no consumer is there; start a worker")
        commit(kafka_settings, behind, behind, {0: 10})
        lag = group_of(monitor.poll(), behind)
        assert (lag.state, lag.sentence, lag.lag) == (LagState.OK, "caught up", 0)


def test_an_offset_whose_records_were_deleted(kafka_settings: KafkaSettings, admin: AdminClient, behind: str) -> None:
    with LagMonitor(kafka_settings, only(behind)) as monitor:
        assert settled(monitor, behind).lag == 6
        deleted = admin.delete_records([TopicPartition(behind, 0, 7)])
        assert [each.result(30).low_watermark for each in deleted.values()] == [7]
        (lag,) = group_of(monitor.poll(), behind).partitions
        assert (lag.state, lag.committed, lag.start, lag.lag) == (LagState.ERR, 4, 7, 3), "what is left waits"
        assert lag.sentence.startswith("3 offsets from 4 on were deleted before the group came there")
        commit(kafka_settings, behind, behind, {0: 8})
        lag = group_of(monitor.poll(), behind).partitions[0]
        assert (lag.state, lag.lag) == (LagState.OK, 2)


def test_an_offset_that_was_deleted(kafka_settings: KafkaSettings, admin: AdminClient, behind: str) -> None:
    consumer = reading(kafka_settings, behind)
    with LagMonitor(kafka_settings, only(behind)) as monitor:
        consumer.commit(offsets=[TopicPartition(behind, 0, 6)], asynchronous=False)
        assert settled(monitor, behind).lag == 4
        consumer.close()
        admin.delete_consumer_groups([behind])[behind].result(30)
        assert [group for group in monitor.poll().groups if group.group == behind] == [], "there is no such group"
        consumer = reading(kafka_settings, behind)
        lag = group_of(monitor.poll(), behind)
        assert (lag.partitions[0].committed, lag.lag) == (None, 10), "it begins at the start of the log"
    consumer.close()


def reading(settings: KafkaSettings, name: str) -> Consumer:
    """A member of the group that has its partition."""
    options = {"group.id": name, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer(settings.confluent() | options | {"group.protocol": "consumer"})
    consumer.subscribe([name])
    until = time.monotonic() + 60
    while consumer.poll(0.1) is None:
        assert time.monotonic() < until
    return consumer


def test_a_topic_that_is_deleted_under_its_group(
    kafka_settings: KafkaSettings, admin: AdminClient, behind: str
) -> None:
    consumer = reading(kafka_settings, behind)
    seen: list[GroupLag] = []

    def is_gone(snapshot: LagSnapshot) -> bool:
        seen.append(group_of(snapshot, behind))
        return not seen[-1].partitions

    with LagMonitor(kafka_settings, only(behind)) as monitor:
        assert settled(monitor, behind).lag == 6
        admin.delete_topics([behind])[behind].result(30)
        polled_until(monitor, is_gone)
    consumer.close()
    for group in seen[:-1]:
        (lag,) = group.partitions
        assert lag.state is LagState.ERR or lag.lag == 6, "until Kafka has deleted it"
    assert (seen[-1].lag, seen[-1].sentence) == (0, "no partition: it has committed nothing and has no member")


def test_a_kafka_that_hangs_goes_away_and_comes_back(new_kafka: NewKafka) -> None:
    group = topic = "lag-away"
    with new_kafka() as kafka:
        settings = kafka.settings()
        create(AdminClient({**settings.confluent()}), NewTopic(topic, 2, 1))
        with producing(settings) as producer:
            write(producer, topic, 5)
        commit(settings, group, topic, {0: 2})
        with LagMonitor(settings, timeout_s=3) as monitor:
            polled_until(monitor, lambda each: figures_of(each, group) == 3)
            for interrupt, resume in ((kafka.freeze, kafka.thaw), (kafka.kill, kafka.restart)):
                interrupt()
                away = polled_until(monitor, lambda each: each.broker is not None)
                assert away.broker is not None
                assert away.broker.startswith(f"no answer from Kafka at {kafka.bootstrap_servers} within 3 s")
                assert (away.groups, away.dead_letters, away.state) == ((), (), LagState.ERR)
                resume()
                polled_until(monitor, lambda each: figures_of(each, group) == 3)
