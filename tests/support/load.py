"""Load on a stage worker and what comes of it, seen from outside."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from confluent_kafka import Consumer, TopicPartition

from manyheads.infra.kafka.confluent import ConfluentTransport
from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.headers import correlation_id_of
from manyheads.topics.names import Lane

PATIENCE_S = 90.0


class WorkerProcess:
    """A worker in a process of its own; its log is in ``log``."""

    def __init__(
        self, settings: KafkaSettings, inputs: Sequence[tuple[Lane, str, str]], log: Path, **options: object
    ) -> None:
        arguments = {
            "servers": settings.bootstrap_servers,
            "inputs": [(lane.value, topic, group) for lane, topic, group in inputs],
            "options": options,
        }
        self.log = log
        self._stderr: IO[bytes] = log.open("wb")
        command = [sys.executable, "-m", "tests.support.worker", json.dumps(arguments)]
        self.process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=self._stderr)

    def has_said(self, event: str) -> bool:
        """Whether the event is in its log."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return any(line.get("event") == event for line in lines)

    def wait_until_ready(self) -> None:
        """Until it consumes from its partitions."""

        def ready() -> bool:
            with suppress(subprocess.TimeoutExpired):
                code = self.process.wait(0.05)
                raise AssertionError(f"exit code {code}: {self.log.read_text()[-3_000:]}")
            return self.has_said("worker_ready")

        wait_until(ready)

    def kill(self) -> None:
        """As a machine that loses its power would."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        """As Kubernetes would; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def close(self) -> None:
        """Whatever it does, it is gone."""
        if self.process.poll() is None:
            self.kill()
        self._stderr.close()


class Replies:
    """Counts the replies on a topic, by request, as a client that reads committed records sees them."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        config = {"group.id": "replies", "enable.auto.commit": False, "isolation.level": "read_committed"}
        self._consumer = Consumer({**settings.confluent(), **config})
        numbers = self._consumer.list_topics(topic, 30).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        self.counts: Counter[int] = Counter()

    def collect(self, wait_s: float = 0.1) -> None:
        """What came since."""
        for message in self._consumer.consume(5_000, wait_s):
            if message.error() is None:
                self.counts[int(correlation_id_of(message.headers() or ()) or b"-1")] += 1  # type: ignore[arg-type]

    def wait_for(self, count: int) -> None:
        """Until so many requests are answered."""

        def enough() -> bool:
            self.collect()
            return len(self.counts) >= count

        wait_until(enough)

    def close(self) -> None:
        self._consumer.close()


def send(settings: KafkaSettings, records: Sequence[Outgoing]) -> None:
    """Write the records and wait until the broker has them."""
    publisher = ConfluentTransport(settings).publisher()
    waiting = len(records)
    for record in records:
        assert publisher.publish(record, None) is None
    patience = time.monotonic() + PATIENCE_S
    while waiting:
        assert time.monotonic() < patience, "the broker does not acknowledge"
        waiting -= len(publisher.deliveries(1.0))
    publisher.close(1.0)


def uncommitted(settings: KafkaSettings, group: str, topic: str) -> int:
    """Records of the topic that the group has not committed."""
    with Consumer({**settings.confluent(), "group.id": group, "isolation.level": "read_uncommitted"}) as reader:
        numbers = reader.list_topics(topic, 30).topics[topic].partitions
        positions = [TopicPartition(topic, number) for number in numbers]
        left = 0
        for position in reader.committed(positions, 30):
            low, high = reader.get_watermark_offsets(TopicPartition(topic, position.partition), 30)
            left += high - max(low, position.offset)
    return left


def wait_until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Ask until it is so; the condition itself waits a little for what it asks."""
    patience = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < patience, "it does not come to be"
