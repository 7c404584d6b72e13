"""The registry over a real broker: written, followed, compacted, through damage and restarts."""

import logging
import threading
from collections.abc import Iterator, Mapping

import pytest
from confluent_kafka import Producer

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.registry.follower import RegistryFollower
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.infra.telemetry import Health, Metrics
from manyheads.topics import names
from manyheads.topics.catalogue import shared_topics
from manyheads.topics.errors import BrokerError, ErrorCode, InternalError
from manyheads.topics.metrics import REGISTRY_BEHIND, REGISTRY_SKIPPED, MetricSpec
from manyheads.topics.names import REGISTRY_TOPIC, RingName
from manyheads.topics.registry import PlacementRecord, RingRecord, placement_key
from tests.support.kafka import Kafka, NewKafka
from tests.support.load import wait_until

C0 = names.cell("c0")
V1, V2 = names.version("1"), names.version("2")
PATIENCE_S = 30.0


@pytest.fixture
def settings(kafka_settings: KafkaSettings, topic_admin: TopicAdmin) -> KafkaSettings:
    """The shared broker's, with the shared topics there."""
    assert not topic_admin.missing(shared_topics()[1:])
    return kafka_settings


@pytest.fixture
def bare_kafka(new_kafka: NewKafka) -> Iterator[Kafka]:
    """A broker of this test's own, without topics."""
    with new_kafka() as kafka:
        yield kafka


def ring_record(ring: RingName, version: names.VersionName = V1) -> RingRecord:
    return RingRecord(ring=ring, encoder=version, cells=(C0,))


def placement(ring: RingName, n: int) -> PlacementRecord:
    return PlacementRecord(ring=ring, tenant=names.tenant(f"t{n}"), cell=C0, head=V1)


def test_what_was_written_before_is_there_after_start(settings: KafkaSettings, unique_ring: RingName) -> None:
    with RegistryWriter(settings) as writer:
        writer.put(ring_record(unique_ring), *(placement(unique_ring, n) for n in range(5_000)))
        writer.put(ring_record(unique_ring, V2))
        writer.delete(placement(unique_ring, 0).key)
    with RegistryFollower(settings) as follower:
        snapshot = follower.snapshot
    assert snapshot.ring(unique_ring) == ring_record(unique_ring, V2)
    assert snapshot.placement(unique_ring, names.tenant("t0")) is None
    assert len(snapshot.placements(unique_ring, C0)) == 4_999


def test_what_is_written_later_arrives_in_order(settings: KafkaSettings, unique_ring: RingName) -> None:
    with RegistryFollower(settings) as follower, RegistryWriter(settings) as writer:
        before = follower.snapshot
        writer.put(ring_record(unique_ring), placement(unique_ring, 1), ring_record(unique_ring, V2))
        assert follower.wait_until(lambda now: now.ring(unique_ring) == ring_record(unique_ring, V2), PATIENCE_S)
        assert follower.snapshot.generation > before.generation
        writer.delete(ring_record(unique_ring).key, placement_key(unique_ring, names.tenant("never-there")))
        assert follower.wait_until(lambda now: now.ring(unique_ring) is None, PATIENCE_S)
        assert before.ring(unique_ring) is None


def test_what_is_no_record_is_skipped_logged_and_counted(
    settings: KafkaSettings, unique_ring: RingName, caplog: pytest.LogCaptureFixture
) -> None:
    sound, last = ring_record(unique_ring), placement(unique_ring, 1)
    written = [
        (sound.key, sound.to_bytes()),
        (sound.key, b"\xc1 nonsense"),
        (b"ring/another", sound.to_bytes()),
        (b"no/kind", sound.to_bytes()),
        (b"\xff\xfe", None),
        (last.key, last.to_bytes()),
    ]
    metrics = Metrics()

    def skipped() -> float:
        return metrics.registry.get_sample_value(REGISTRY_SKIPPED.name, {"code": "malformed_message"}) or 0

    producer = Producer(settings.confluent())
    with caplog.at_level(logging.WARNING), RegistryFollower(settings, metrics) as follower:
        before, caplog_before = skipped(), len(caplog.messages)
        for key, value in written:
            producer.produce(REGISTRY_TOPIC, value, key)
        assert producer.flush(PATIENCE_S) == 0
        assert follower.wait_until(lambda now: now.placement(unique_ring, last.tenant) == last, PATIENCE_S)
        assert follower.snapshot.ring(unique_ring) == sound
    assert skipped() - before == 3
    assert metrics.registry.get_sample_value(REGISTRY_BEHIND.name) == follower.behind == 0
    lines = caplog.messages[caplog_before:]
    assert len(lines) == 3
    assert all(line.startswith("registry_record_skipped") and "malformed_message" in line for line in lines)


class BrokenMetrics(Metrics):
    """Stands for any defect in the follower's thread, once it is armed."""

    armed = False

    def inc(self, spec: MetricSpec, labels: Mapping[str, str], by: float = 1) -> None:
        if self.armed:
            raise ZeroDivisionError(spec.name)


def test_a_follower_that_fails_says_so_instead_of_growing_old(
    settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    threads = threading.active_count()
    metrics = BrokenMetrics()
    health = Health()
    with RegistryFollower(settings, metrics, health) as follower:
        assert health.ready
        metrics.armed = True
        producer = Producer(settings.confluent())
        producer.produce(REGISTRY_TOPIC, b"", b"no/kind")
        assert producer.flush(PATIENCE_S) == 0
        with pytest.raises(InternalError, match="restart this process") as caught:
            follower.wait_until(lambda _: False, PATIENCE_S)
        assert caught.value.code is ErrorCode.WORKER_HALTED
        with pytest.raises(InternalError):
            _ = follower.snapshot
        wait_until(lambda: "it is no longer followed" in health.waits_for)
    assert threading.active_count() == threads
    assert any("registry_follower_failed" in message for message in caplog.messages)


def test_a_follower_and_a_writer_outlive_a_restart(bare_kafka: Kafka) -> None:
    ring = names.ring("en")
    settings = bare_kafka.settings()
    with TopicAdmin(settings) as admin:
        admin.ensure(shared_topics())
    with RegistryFollower(settings) as follower, RegistryWriter(settings) as writer:
        writer.put(ring_record(ring))
        bare_kafka.kill()
        assert follower.snapshot is not None
        bare_kafka.restart()
        writer.put(ring_record(ring, V2))
        assert follower.wait_until(lambda now: now.ring(ring) == ring_record(ring, V2), PATIENCE_S)


def test_without_the_topic_the_error_says_how_to_create_it(bare_kafka: Kafka) -> None:
    settings = bare_kafka.settings()
    threads = threading.active_count()
    with pytest.raises(BrokerError, match=r"nlu\.registry.*manyheads topics create") as following:
        RegistryFollower(settings).start(timeout_s=10)
    with RegistryWriter(settings, timeout_s=10) as writer, pytest.raises(BrokerError) as writing:
        writer.put(ring_record(names.ring("en")))
    assert following.value.code is writing.value.code is ErrorCode.TOPICS_MISSING
    assert threading.active_count() == threads


def test_without_a_broker_the_error_names_the_address() -> None:
    # Port 1 is reserved, and nothing listens there.
    settings = load_settings(KafkaSettings, bootstrap_servers="127.0.0.1:1")
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1 within 0\.5 s") as following:
        RegistryFollower(settings).start(timeout_s=0.5)
    with RegistryWriter(settings, timeout_s=0.5) as writer, pytest.raises(BrokerError) as writing:
        writer.put(ring_record(names.ring("en")))
    assert following.value.code is writing.value.code is ErrorCode.BROKER_UNREACHABLE


def test_a_broker_that_vanishes_before_the_acknowledgement(bare_kafka: Kafka) -> None:
    settings = bare_kafka.settings()
    with TopicAdmin(settings) as admin:
        admin.ensure(shared_topics())
    with RegistryWriter(settings, timeout_s=3) as writer:
        writer.put(ring_record(names.ring("en")))
        bare_kafka.kill()
        with pytest.raises(BrokerError) as caught:
            writer.put(ring_record(names.ring("en"), V2))
    assert caught.value.code is ErrorCode.BROKER_UNREACHABLE
