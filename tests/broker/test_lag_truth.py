"""Every figure of a measurement, against what was produced and consumed by hand."""

import math
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.lag import LagMonitor, LagState, PartitionLag, Rules, Stage
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.names import CellName, Lane, RingName, dead_letter_topic, encoder_group, requests_topic
from tests.support.lag import WRITTEN_MS, Hands, commit, group_of, only, producing, settled, write


@pytest.fixture
def requests(ring_with_topics: tuple[RingName, CellName]) -> str:
    return requests_topic(ring_with_topics[0])


@pytest.fixture
def group(ring_with_topics: tuple[RingName, CellName]) -> str:
    return encoder_group(ring_with_topics[0])


def test_every_figure(
    kafka_settings: KafkaSettings, ring_with_topics: tuple[RingName, CellName], requests: str, group: str
) -> None:
    hands = Hands()
    with producing(kafka_settings) as producer:
        write(producer, requests, 20)
        write(producer, dead_letter_topic(requests), 3, first_s=50)
        commit(kafka_settings, group, requests, {0: 5})
        with LagMonitor(kafka_settings, only(group), clock=hands.clock()) as monitor:
            monitor.poll()
            write(producer, requests, 10, first_s=20)
            write(producer, dead_letter_topic(requests), 1, first_s=70)
            commit(kafka_settings, group, requests, {0: 13})
            hands.now_s += 2
            snapshot = monitor.poll()
    lag = group_of(snapshot, group)
    assert (lag.ring, lag.cell, lag.stage, lag.lane) == (ring_with_topics[0], None, Stage.ENCODER, Lane.INTERACTIVE)
    assert (lag.lag, lag.members, lag.kafka_state) == (17, (), "Empty")
    first, second = lag.partitions
    assert (first.committed, first.start, first.end, first.lag) == (13, 0, 30, 17)
    assert first.oldest_age_s == pytest.approx(102 - 13), "record 13 was written 13 s after the first"
    assert first.arrival_rate == pytest.approx(5)
    assert first.completion_rate == pytest.approx(4)
    assert first.eta_s == math.inf, "more comes than is done"
    assert (second.committed, second.lag, second.oldest_age_s, second.eta_s) == (None, 0, 0.0, 0.0)
    assert lag.oldest_age_s == first.oldest_age_s
    (dead,) = [letters for letters in snapshot.dead_letters if letters.topic == dead_letter_topic(requests)]
    assert (dead.count, dead.newest_ms) == (4, WRITTEN_MS + 70_000)
    assert dead.rate == pytest.approx(0.5)
    assert snapshot.at_ms == WRITTEN_MS + 102_000


def test_markers_and_what_was_aborted_do_not_wait(
    kafka_settings: KafkaSettings, ring_with_topics: tuple[RingName, CellName]
) -> None:
    ring = ring_with_topics[0]
    topic, group = requests_topic(ring, Lane.BATCH), encoder_group(ring, Lane.BATCH)
    hands = Hands()
    with (
        producing(kafka_settings, f"{ring}-truth") as producer,
        LagMonitor(kafka_settings, only(group), clock=hands.clock()) as monitor,
    ):

        def measured() -> PartitionLag:
            return group_of(monitor.poll(), group).partitions[0]

        producer.begin_transaction()
        write(producer, topic, 5)
        producer.commit_transaction(30)
        producer.begin_transaction()
        write(producer, topic, 3, first_s=5)
        producer.abort_transaction(30)
        commit(kafka_settings, group, topic, {0: 2})
        assert (measured().end, measured().lag) == (10, 3), "5 records, a marker, 3 aborted, a marker"
        assert measured().oldest_age_s == pytest.approx(98)
        commit(kafka_settings, group, topic, {0: 5})
        lag = measured()
        assert (lag.lag, lag.oldest_age_s, lag.state, lag.eta_s) == (0, 0.0, LagState.OK, 0.0)
        producer.begin_transaction()
        write(producer, topic, 4, first_s=30)
        assert (measured().end, measured().lag) == (10, 0), "nobody may read them before the commit"
        producer.commit_transaction(30)
        lag = measured()
        assert (lag.end, lag.lag) == (15, 4)
        assert lag.oldest_age_s == pytest.approx(70)


def test_offsets_that_are_not_in_the_log(
    kafka_settings: KafkaSettings, topic_admin: TopicAdmin, requests: str, group: str
) -> None:
    with producing(kafka_settings) as producer, LagMonitor(kafka_settings, only(group)) as monitor:
        write(producer, requests, 10)
        commit(kafka_settings, group, requests, {0: 99})
        lag = group_of(monitor.poll(), group)
        assert lag.state is LagState.ERR
        assert "beyond the end of the log, 10" in lag.sentence
        commit(kafka_settings, group, requests, {0: 4})
        topic_admin.ensure([TopicSpec(f"other-{group}", 1)])
        assert group_of(monitor.poll(), group).partitions[0].lag == 6
        topic_admin.delete([requests, f"other-{group}"])
        snapshot = monitor.poll()
        assert snapshot.broker is None
        assert group not in {each.group for each in snapshot.groups if each.state is LagState.OK and each.lag}


def test_a_stage_that_nobody_has_ever_run_stops_once_something_waits(
    kafka_settings: KafkaSettings, requests: str, group: str
) -> None:
    hands = Hands()
    with (
        producing(kafka_settings) as producer,
        LagMonitor(kafka_settings, only(group), rules=Rules(patience_s=4), clock=hands.clock()) as monitor,
    ):
        lag = settled(monitor, group)
        assert (lag.state, lag.kafka_state) == (LagState.OK, "Missing")
        write(producer, requests, 3)
        for _ in range(4):
            hands.now_s += 2
            lag = group_of(monitor.poll(), group)
        assert (lag.state, lag.lag) == (LagState.STOP, 3)
        assert "start a worker" in lag.sentence


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_living_member_that_commits_nothing_stalls_and_recovers(
    kafka_settings: KafkaSettings, requests: str, group: str, protocol: str
) -> None:
    hands = Hands()
    consumer = Consumer(
        kafka_settings.confluent()
        | {"group.id": group, "group.protocol": protocol, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.subscribe([requests])
    with (
        producing(kafka_settings) as producer,
        LagMonitor(kafka_settings, only(group), clock=hands.clock()) as monitor,
    ):
        write(producer, requests, 8)
        until = time.monotonic() + 30
        while consumer.poll(0.1) is None:
            assert time.monotonic() < until
        states = []
        for _ in range(5):
            lag = group_of(monitor.poll(), group)
            states.append(lag.state)
            hands.now_s += 2
        assert states == [LagState.OK] * 3 + [LagState.STALL] * 2
        (member,) = lag.members
        assert [each.member for each in lag.partitions] == [member, member]
        assert member.client_id == kafka_settings.client_id
        consumer.commit(offsets=[TopicPartition(requests, 0, 6)], asynchronous=False)
        recovered = group_of(monitor.poll(), group)
        assert (recovered.state, recovered.lag) == (LagState.OK, 2)
        assert recovered.eta_s is not None
        assert recovered.eta_s < math.inf
    consumer.close()
