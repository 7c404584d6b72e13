"""Reading a span of time of a topic, outside any group."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.kafka.history import History, Stretch
from manyheads.infra.kafka.records import TopicPartition
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.catalogue import TopicSpec

HOUR_MS = 3_600_000
NOW_MS = 1_795_000_000_000
"""the records' own time: nothing here depends on the clock"""


@pytest.fixture
def topic(topic_admin: TopicAdmin, unique_ring: str) -> Iterator[str]:
    """A topic of the test's own with two partitions; the first has a record of each of the last four hours."""
    name = f"history-{unique_ring}"
    topic_admin.ensure([TopicSpec(name, 2, {"retention.ms": "-1"})])
    yield name
    topic_admin.delete([name])


def write(settings: KafkaSettings, topic: str, *ages: int, key: str = "acme") -> None:
    """A record in the first partition for each age in hours."""
    producer = Producer({**settings.confluent()})
    for age in ages:
        producer.produce(topic, f"{key} {age}", key, 0, timestamp=NOW_MS - age * HOUR_MS)
    assert producer.flush(30) == 0


def values(history: History, stretches: tuple[Stretch, ...], keys: set[bytes] | None = None) -> list[bytes | None]:
    return [record.value for portion in history.read(stretches, keys) for record in portion.records]


def test_only_the_span_of_time(kafka_settings: KafkaSettings, topic: str) -> None:
    write(kafka_settings, topic, 3, 2, 1, 0)
    with History(kafka_settings) as history:
        assert history.partitions(topic) == 2
        every = history.stretches(topic, [0, 1], 0)
        assert [(each.records, each.cut) for each in every] == [(4, False), (0, False)]
        assert values(history, every) == [b"acme 3", b"acme 2", b"acme 1", b"acme 0"]
        assert history.first_ms == {TopicPartition(topic, 0): NOW_MS - 3 * HOUR_MS}
        some = history.stretches(topic, [0], NOW_MS - 2 * HOUR_MS, NOW_MS)
        assert values(history, some) == [b"acme 2", b"acme 1"]
        assert values(history, history.stretches(topic, [0, 1], NOW_MS + 1)) == []


def test_only_the_keys_and_nothing_that_comes_later(kafka_settings: KafkaSettings, topic: str) -> None:
    write(kafka_settings, topic, 3, 2)
    write(kafka_settings, topic, 1, key="globex")
    with History(kafka_settings) as history:
        now = history.stretches(topic, [0, 1], 0)
        write(kafka_settings, topic, 0)
        portions = list(history.read(now, {b"acme"}))
        assert [record.value for each in portions for record in each.records] == [b"acme 3", b"acme 2"]
        assert sum(each.passed for each in portions) == 3


def test_what_was_aborted_is_not_read(kafka_settings: KafkaSettings, topic: str) -> None:
    producer = Producer({**kafka_settings.confluent(), "transactional.id": topic})
    producer.init_transactions(30)
    for value, commit in (("kept", True), ("aborted", False), ("kept too", True), ("aborted too", False)):
        producer.begin_transaction()
        producer.produce(topic, value, "acme", 0)
        producer.flush(30)
        if commit:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    with History(kafka_settings) as history:
        stretches = history.stretches(topic, [0, 1], 0)
        portions = list(history.read(stretches))
        assert [record.value for each in portions for record in each.records] == [b"kept", b"kept too"]
        assert sum(each.passed for each in portions) == sum(each.records for each in stretches) == 8


def test_what_was_deleted_is_told(kafka_settings: KafkaSettings, topic: str) -> None:
    write(kafka_settings, topic, 3, 2, 1, 0)
    admin = AdminClient({**kafka_settings.confluent()})
    for future in admin.delete_records([Position(topic, 0, 2)]).values():
        future.result(30)
    with History(kafka_settings) as history:
        (cut,) = history.stretches(topic, [0], 0)
        assert (cut.start, cut.end, cut.cut) == (2, 4, True)
        assert values(history, (cut,)) == [b"acme 1", b"acme 0"]
        assert history.first_ms[cut.at] == NOW_MS - HOUR_MS
        (whole,) = history.stretches(topic, [0], NOW_MS)
        assert not whole.cut


def test_a_topic_that_is_not_there(kafka_settings: KafkaSettings) -> None:
    with History(kafka_settings) as history:
        assert history.partitions("no.such.topic") == 0
