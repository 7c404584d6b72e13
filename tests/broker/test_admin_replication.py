"""Topics get more copies when a cluster has grown."""

from collections.abc import Iterator

import pytest

from manyheads.infra.admin import TopicAdmin
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.errors import BrokerError, ErrorCode
from tests.support.kafka import Kafka, NewKafka

TOPIC = TopicSpec("nlu.en.requests", 4, {"min.insync.replicas": "1"})


@pytest.fixture(scope="module")
def cluster(new_kafka: NewKafka) -> Iterator[Kafka]:
    with new_kafka(3) as kafka:
        yield kafka


def test_every_partition_gets_its_copies_and_one_broker_may_fail(cluster: Kafka) -> None:
    with TopicAdmin(cluster.settings()) as admin:
        admin.ensure([TOPIC], replicas=1)
        assert TOPIC.name in admin.replicate(3)
        (state,) = admin.list(TOPIC.name)
        assert state.replicas == 3
        assert state.settings["min.insync.replicas"] == "2"
        assert admin.replicate(3) == (), "there is nothing left to do"


def test_too_few_brokers_are_said_and_nothing_is_changed(cluster: Kafka) -> None:
    with TopicAdmin(cluster.settings(), timeout_s=2.0) as admin:
        with pytest.raises(BrokerError, match="4 brokers within 2 s") as caught:
            admin.replicate(4)
        assert caught.value.code is ErrorCode.TOPICS_MISSING
