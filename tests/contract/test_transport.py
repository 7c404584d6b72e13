"""What every transport promises to the stage loop."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from manyheads.infra.kafka.records import Outgoing, Record, TopicPartition
from manyheads.infra.kafka.transport import Consumer, PublishFailure, TransactionLostError, Transactions
from manyheads.topics.limits import MAX_MESSAGE_BYTES
from manyheads.topics.partitions import partition_of
from tests.contract.conftest import Cluster, publish_all

Until = Callable[[Callable[[], bool], Callable[[], object]], None]
WAIT_S = 0.2


class _Listener:
    """Remembers what it was told; commits at a revocation if asked to."""

    def __init__(self) -> None:
        self.partitions: set[TopicPartition] = set()
        self.events: list[tuple[str, list[TopicPartition]]] = []
        self.at_revocation: Callable[[], None] = lambda: None

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("assigned", sorted(partitions)))
        self.partitions.update(partitions)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.at_revocation()
        self.events.append(("revoked", sorted(partitions)))
        self.partitions.difference_update(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("lost", sorted(partitions)))
        self.partitions.difference_update(partitions)


@contextmanager
def _joined(
    cluster: Cluster, group: str, topic: str, until: Until, partitions: int
) -> Iterator[tuple[Consumer, _Listener]]:
    """A consumer that has, and consumes from, all its partitions."""
    listener = _Listener()
    consumer = cluster.transport.consumer(group, topic, listener, prefetch_bytes=1_000_000)
    until(lambda: len(listener.partitions) == partitions, lambda: consumer.take(1, WAIT_S))
    consumer.resume(sorted(listener.partitions))
    try:
        yield consumer, listener
    finally:
        consumer.close(10)


def _take(consumer: Consumer, count: int, until: Until) -> list[Record]:
    records: list[Record] = []
    until(lambda: len(records) >= count, lambda: records.extend(consumer.take(1_000, WAIT_S)))
    return records


def _begun(transactions: Transactions, until: Until) -> Transactions:
    begun: list[bool] = []
    until(lambda: any(begun), lambda: begun.append(transactions.begin(1.0)))
    return transactions


def _values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def test_records_arrive_whole_and_in_order(cluster: Cluster, group: str, until: Until) -> None:
    topic = cluster.create(1)
    headers = (("a", b"1"), ("a", b"2"), ("b", b"\x00\xff"))
    cluster.write(
        Outgoing(topic, b"first", b"key", headers, 0), Outgoing(topic, None, None, (), 0), Outgoing(topic, b"third")
    )
    with _joined(cluster, group, topic, until, 1) as (consumer, _):
        first, second, third = _take(consumer, 3, until)
    assert (first.topic, first.partition, first.offset) == (topic, 0, 0)
    assert (first.key, first.value, first.headers) == (b"key", b"first", headers)
    assert (second.key, second.value, second.headers, second.offset) == (None, None, (), 1)
    assert (third.value, third.offset) == (b"third", 2)
    assert first.timestamp_ms <= third.timestamp_ms


def test_new_partitions_are_paused_until_they_are_resumed(cluster: Cluster, group: str, until: Until) -> None:
    topic = cluster.create(2)
    cluster.write(*(Outgoing(topic, b"%d" % i, partition=i % 2) for i in range(10)))
    listener = _Listener()
    consumer = cluster.transport.consumer(group, topic, listener, prefetch_bytes=1_000_000)
    taken: list[Record] = []
    until(lambda: len(listener.partitions) == 2, lambda: taken.extend(consumer.take(100, WAIT_S)))
    for _ in range(5):
        taken += consumer.take(100, 0.1)
    assert taken == []
    assert consumer.partition_count() == 2
    consumer.resume([TopicPartition(topic, 1), TopicPartition("another", 0)])
    assert {record.partition for record in _take(consumer, 5, until)} == {1}
    consumer.resume([TopicPartition(topic, 0)])
    assert {record.partition for record in _take(consumer, 5, until)} == {0}
    consumer.close(10)


def test_take_keeps_to_its_limit_and_loses_nothing(cluster: Cluster, group: str, until: Until) -> None:
    topic = cluster.create(1)
    cluster.write(*(Outgoing(topic, b"%d" % i) for i in range(25)))
    records: list[Record] = []
    with _joined(cluster, group, topic, until, 1) as (consumer, _):

        def take() -> None:
            some = consumer.take(4, WAIT_S)
            assert len(some) <= 4
            records.extend(some)

        until(lambda: len(records) == 25, take)
    assert [record.offset for record in records] == list(range(25))


def test_a_group_goes_on_where_it_committed(cluster: Cluster, group: str, until: Until) -> None:
    topic = cluster.create(1)
    cluster.write(*(Outgoing(topic, b"%d" % i) for i in range(6)))
    with _joined(cluster, group, topic, until, 1) as (consumer, _):
        _take(consumer, 6, until)
        consumer.commit_now({TopicPartition(topic, 0): 4}, 10)
    assert cluster.committed(group, topic) == {TopicPartition(topic, 0): 4}
    with _joined(cluster, group, topic, until, 1) as (consumer, _):
        assert [record.offset for record in _take(consumer, 2, until)] == [4, 5]


def test_a_commit_without_waiting_arrives(cluster: Cluster, group: str, until: Until) -> None:
    topic = cluster.create(1)
    cluster.write(Outgoing(topic, b"x"))
    with _joined(cluster, group, topic, until, 1) as (consumer, _):
        _take(consumer, 1, until)
        consumer.commit({TopicPartition(topic, 0): 1})
        until(lambda: cluster.committed(group, topic) != {}, lambda: consumer.take(1, 0.05))
        assert consumer.refused_commits() == []


def test_a_second_member_gets_its_share_from_where_the_first_committed(
    cluster: Cluster, group: str, until: Until
) -> None:
    topic = cluster.create(2)
    cluster.write(*(Outgoing(topic, b"%d" % i, partition=i % 2) for i in range(10)))
    with _joined(cluster, group, topic, until, 2) as (first, first_listener):
        _take(first, 10, until)
        first_listener.at_revocation = lambda: first.commit_now({TopicPartition(topic, n): 3 for n in range(2)}, 10)
        second_listener = _Listener()
        second = cluster.transport.consumer(group, topic, second_listener, prefetch_bytes=1_000_000)

        def both() -> None:
            assert first.take(100, 0.05) == []
            assert second.take(100, 0.05) == []
            assert not first_listener.partitions & second_listener.partitions

        until(lambda: len(second_listener.partitions) == 1, both)
        (moved,) = second_listener.partitions
        assert first_listener.events[-1] == ("revoked", [moved])
        second.resume([moved])
        assert [record.offset for record in _take(second, 2, until)] == [3, 4]
        second.close(10)
        assert second_listener.events[-1] == ("revoked", [moved])


def test_rewinding_takes_again_from_what_is_committed_or_else_from_the_start(
    cluster: Cluster, group: str, until: Until
) -> None:
    topic = cluster.create(2)
    cluster.write(*(Outgoing(topic, b"%d" % i, partition=i % 2) for i in range(8)))
    with _joined(cluster, group, topic, until, 2) as (consumer, _):
        _take(consumer, 8, until)
        consumer.commit_now({TopicPartition(topic, 0): 2}, 10)
        start = {TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 1, TopicPartition("gone", 0): 5}
        done: list[bool] = []
        until(lambda: any(done), lambda: done.append(consumer.rewind(start, 1.0)))
        again = {(record.partition, record.offset) for record in _take(consumer, 5, until)}
    assert again == {(0, 2), (0, 3), (1, 1), (1, 2), (1, 3)}


def test_a_key_goes_to_its_murmur2_partition(cluster: Cluster) -> None:
    topic = cluster.create(4)
    keys = [b"acme-bank", b"acme-bank#1", b"\x00\xff", b""]
    cluster.write(*(Outgoing(topic, key, key) for key in keys))
    assert {record.value: record.partition for record in cluster.read(topic)} == {
        key: partition_of(key, 4) for key in keys
    }


@pytest.mark.parametrize("partition", [None, 0, 7])
def test_a_topic_or_partition_that_does_not_exist_is_refused(cluster: Cluster, partition: int | None) -> None:
    publisher = cluster.transport.publisher()
    topic = "no-such-topic" if partition is None else cluster.create(7)
    failure = publisher.publish(Outgoing(topic, b"x", partition=partition), 1)
    assert failure is (None if partition == 0 else PublishFailure.REFUSED)
    publisher.close(1)


def test_a_record_over_the_limit_is_refused_at_once_and_the_next_one_written(cluster: Cluster) -> None:
    topic = cluster.create(1)
    publisher = cluster.transport.publisher()
    huge = Outgoing(topic, b"x" * (MAX_MESSAGE_BYTES + 1024 * 1024))
    assert publisher.publish(huge, 1) is PublishFailure.TOO_LARGE
    publish_all(publisher, [Outgoing(topic, b"small")])
    publisher.close(1)
    assert _values(cluster.read(topic)) == [b"small"]


def test_a_transaction_shows_its_records_and_offsets_together(cluster: Cluster, group: str, until: Until) -> None:
    source, target = cluster.create(1), cluster.create(1)
    cluster.write(*(Outgoing(source, b"%d" % i) for i in range(3)))
    transactions = cluster.transport.transactions(f"id-{group}")
    with _joined(cluster, group, source, until, 1) as (consumer, _):
        _take(consumer, 3, until)
        _begun(transactions, until)
        publish_all(transactions, [Outgoing(target, b"a"), Outgoing(target, b"b")])
        assert (cluster.read(target), cluster.committed(group, source)) == ([], {})
        ended: list[bool] = []
        offsets = {TopicPartition(source, 0): 3}
        until(lambda: any(ended), lambda: ended.append(transactions.end(offsets, consumer.membership(), 5.0)))
        assert _values(cluster.read(target)) == [b"a", b"b"]
        assert cluster.committed(group, source) == offsets
    transactions.close(5)


def test_a_transaction_that_was_given_up_is_never_seen(cluster: Cluster, group: str, until: Until) -> None:
    topic = cluster.create(1)
    transactions = _begun(cluster.transport.transactions(f"id-{group}"), until)
    publish_all(transactions, [Outgoing(topic, b"given up")])
    transactions.give_up()
    _begun(transactions, until)
    transactions.give_up()
    transactions.close(5)
    cluster.write(Outgoing(topic, b"later"))
    assert _values(cluster.read(topic)) == [b"later"]


def test_the_newest_of_an_id_shuts_out_the_others_and_can_be_shut_out_itself(
    cluster: Cluster, group: str, until: Until
) -> None:
    source, target = cluster.create(1), cluster.create(1)
    cluster.write(Outgoing(source, b"x"))
    with _joined(cluster, group, source, until, 1) as (consumer, _):
        _take(consumer, 1, until)
        zombie = _begun(cluster.transport.transactions(f"id-{group}"), until)
        publish_all(zombie, [Outgoing(target, b"zombie")])
        successor = _begun(cluster.transport.transactions(f"id-{group}"), until)
        with pytest.raises(TransactionLostError):
            until(lambda: zombie.end({TopicPartition(source, 0): 1}, consumer.membership(), 5.0), lambda: None)
        zombie.give_up()
        publish_all(successor, [Outgoing(target, b"successor")])
        until(lambda: successor.end({TopicPartition(source, 0): 1}, consumer.membership(), 5.0), lambda: None)
        _begun(zombie, until)
        publish_all(zombie, [Outgoing(target, b"revived")])
        until(lambda: zombie.end({}, consumer.membership(), 5.0), lambda: None)
    assert _values(cluster.read(target)) == [b"successor", b"revived"]
    for each in (zombie, successor):
        each.close(5)


def test_topics_that_are_missing_are_named(cluster: Cluster) -> None:
    topic = cluster.create(1)
    assert cluster.transport.missing_topics([topic, "no-such-topic"], 10) == ["no-such-topic"]
