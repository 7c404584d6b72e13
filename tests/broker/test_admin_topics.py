"""The topic admin against a real broker."""

import gc
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from manyheads.infra.admin import PartitionChange, SettingChange, TopicAdmin
from manyheads.infra.broker.ports import free_ports
from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.topics.catalogue import Partitions, TopicSpec, ring_topics
from manyheads.topics.errors import BrokerError, ClientClosed, ErrorCode
from manyheads.topics.names import RingName, cell, requests_topic


@pytest.fixture
def specs(unique_ring: RingName, topic_admin: TopicAdmin) -> Iterator[tuple[TopicSpec, ...]]:
    """The topics of a ring that has none yet."""
    specs = ring_topics(unique_ring, [cell("c0")], Partitions(requests=2, embeddings=3))
    yield specs
    topic_admin.delete(spec.name for spec in specs)


def test_topics_are_created_as_the_catalogue_says(topic_admin: TopicAdmin, specs: tuple[TopicSpec, ...]) -> None:
    assert topic_admin.missing(specs) == specs
    changes = topic_admin.ensure(specs)
    assert set(changes.created) == {spec.name for spec in specs}
    assert changes
    assert topic_admin.missing(specs) == ()
    states = {state.name: state for state in topic_admin.list()}
    for spec in specs:
        state = states[spec.name]
        assert state.partitions == spec.partitions
        assert state.replicas == 1
        assert state.settings == spec.settings | spec.initial


def test_a_second_time_nothing_is_done(topic_admin: TopicAdmin, specs: tuple[TopicSpec, ...]) -> None:
    topic_admin.ensure(specs)
    changes = topic_admin.ensure(specs)
    assert not changes


def test_what_is_only_initial_is_left_to_its_operator(topic_admin: TopicAdmin, specs: tuple[TopicSpec, ...]) -> None:
    topic_admin.ensure(specs)
    kept = next(spec for spec in specs if spec.initial)
    assert topic_admin.ensure([replace(kept, settings=kept.settings | {"retention.ms": "3600000"})])
    assert not topic_admin.ensure(specs)
    (state,) = (state for state in topic_admin.list(kept.name) if state.name == kept.name)
    assert state.settings["retention.ms"] == "3600000"


def test_partitions_are_added_and_never_taken_away(topic_admin: TopicAdmin, specs: tuple[TopicSpec, ...]) -> None:
    topic_admin.ensure(specs)
    first = specs[0]
    changes = topic_admin.ensure([replace(first, partitions=5)])
    assert changes.enlarged == (PartitionChange(first.name, 2, 5),)
    assert not topic_admin.ensure([first]), "more partitions than asked for are left alone"
    assert {state.name: state.partitions for state in topic_admin.list(first.name)}[first.name] == 5


def test_settings_that_differ_are_set(topic_admin: TopicAdmin, specs: tuple[TopicSpec, ...]) -> None:
    topic_admin.ensure(specs)
    first = specs[0]
    before = first.settings["retention.ms"]
    changes = topic_admin.ensure([replace(first, settings={"retention.ms": "60000", "cleanup.policy": "delete"})])
    assert changes.altered == (SettingChange(first.name, "retention.ms", before, "60000"),)
    (state,) = (state for state in topic_admin.list(first.name) if state.name == first.name)
    assert state.settings == first.settings | {"retention.ms": "60000"}, "what a spec does not name stays"


def test_a_refused_setting_says_why(topic_admin: TopicAdmin, specs: tuple[TopicSpec, ...]) -> None:
    broken = replace(specs[0], settings={"retention.ms": "soon"})
    with pytest.raises(BrokerError, match=r"retention\.ms") as caught:
        topic_admin.ensure([broken])
    assert caught.value.code is ErrorCode.TOPICS_MISSING
    topic_admin.ensure(specs)
    with pytest.raises(BrokerError, match=r"retention\.ms"):
        topic_admin.ensure([broken])


def test_two_may_create_the_same_topics_at_once(kafka_settings: KafkaSettings, specs: tuple[TopicSpec, ...]) -> None:
    created: list[str] = []
    failures: list[Exception] = []
    together = threading.Barrier(2)

    def ensure() -> None:
        try:
            with TopicAdmin(kafka_settings) as admin:
                together.wait(30)
                created.extend(admin.ensure(specs).created)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ensure) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sorted(created) == sorted(spec.name for spec in specs), "each was created by exactly one"


def test_deleted_topics_are_gone(topic_admin: TopicAdmin, specs: tuple[TopicSpec, ...]) -> None:
    topic_admin.ensure(specs)
    topic_admin.delete(["nlu.nobody.has.this", *(spec.name for spec in specs)])
    assert topic_admin.missing(specs) == specs


def test_only_topics_of_ours_are_listed(
    topic_admin: TopicAdmin, create_ring: object, unique_ring: RingName, specs: tuple[TopicSpec, ...]
) -> None:
    topic_admin.ensure([*specs, TopicSpec(f"other-{unique_ring}", 1)])
    try:
        assert f"other-{unique_ring}" not in {state.name for state in topic_admin.list()}
        assert f"other-{unique_ring}" in {state.name for state in topic_admin.list("")}
        assert [state.name for state in topic_admin.list(requests_topic(unique_ring))] == sorted(
            spec.name for spec in specs if "requests" in spec.name
        )
    finally:
        topic_admin.delete([f"other-{unique_ring}"])


def test_a_closed_admin_says_so(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(ClientClosed, match="with"):
        TopicAdmin(kafka_settings).list()


# kafka-python leaves the sockets of failed connections to the garbage collector.
ignore_its_sockets = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@ignore_its_sockets
def test_nobody_listens() -> None:
    (port,) = free_ports(1)
    assert_unreachable(port)


@ignore_its_sockets
def test_somebody_listens_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert_unreachable(silent.getsockname()[1])


def assert_unreachable(port: int) -> None:
    threads = threading.active_count()
    settings = load_settings(KafkaSettings, bootstrap_servers=f"127.0.0.1:{port}")
    with pytest.raises(BrokerError, match=f"127.0.0.1:{port} within 1 s") as caught, TopicAdmin(settings, timeout_s=1):
        pass
    assert caught.value.code is ErrorCode.BROKER_UNREACHABLE
    assert caught.value.details["servers"] == f"127.0.0.1:{port}"
    assert threading.active_count() == threads, "no I/O thread is left behind"
    del caught
    gc.collect()
