"""What a stage asks of its consumer within a rebalance, while librdkafka has more to tell in the same poll."""

import subprocess
import sys

from manyheads.infra.settings import KafkaSettings
from manyheads.topics.names import CellName, RingName, requests_topic
from tests.conftest import TEST_PARTITIONS

# In a process of its own: what went wrong here was an abort within the C library.
PROGRAM = """
import sys, time
from manyheads.infra.kafka.config import consumer_config
from manyheads.infra.kafka.confluent import ConfluentTransport
from manyheads.infra.kafka.consumer import ConfluentConsumer
from manyheads.infra.settings import KafkaSettings, load_settings

servers, topic = sys.argv[1:]
settings = load_settings(KafkaSettings, bootstrap_servers=servers)

class Listener:
    counts = []
    def assigned(self, partitions):
        self.counts.append(consumer.partition_count())
    def revoked(self, partitions): ...
    def lost(self, partitions): ...

config = settings.confluent() | consumer_config("rebalance-" + topic, 1 << 20) | {"debug": "cgrp,protocol"}
consumer = ConfluentConsumer(config, topic, Listener(), ConfluentTransport(settings)._count_partitions)
until = time.monotonic() + 30
while not Listener.counts and time.monotonic() < until:
    consumer.take(10, 0.2)
consumer.take(10, 0.2)
consumer.close(10)
print(*Listener.counts)
"""


def test_partitions_are_counted_within_a_rebalance(
    kafka_settings: KafkaSettings, ring_with_topics: tuple[RingName, CellName]
) -> None:
    topic = requests_topic(ring_with_topics[0])
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM, kafka_settings.bootstrap_servers, topic],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert program.returncode == 0, program.stderr[-2000:]
    assert program.stdout.split() == [str(TEST_PARTITIONS.requests)]
