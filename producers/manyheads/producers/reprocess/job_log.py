"""A job's topic, read: the plan, which buckets are done, and which rows were rejected.

The first record of partition 0 is the plan; whichever process wrote it first made it. Every bucket's completion is on
the bucket's partition, in one transaction with its rejected rows.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from manyheads.infra.kafka.errors import log
from manyheads.infra.settings import KafkaSettings
from manyheads.producers.reprocess.work import Reject
from manyheads.topics.errors import BrokerError, ErrorCode
from manyheads.topics.names import job_group, job_topic

PLAN, DONE, REJECTS = b"plan", b"done", b"rejects"
"""keys of the records"""
REJECTS_AT_ONCE = 1_000
"""rejected rows in one record"""
_ASK_S = 30.0
_PATIENCE_S = 300.0
_RECORDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class BucketCounts:
    """What a bucket had."""

    bucket: int
    rows: int = 0
    rejected: int = 0
    texts: int = 0
    """distinct ones"""
    pairs: int = 0
    """distinct pairs of tenant and text"""

    def to_bytes(self) -> bytes:
        """As a record's value."""
        return json.dumps(asdict(self)).encode()


def rejects_to_bytes(bucket: int, rejects: Sequence[Reject]) -> bytes:
    """A record's value: some rejected rows of a bucket."""
    rows = [[each.file, each.row, each.tenant, each.code, each.reason] for each in rejects]
    return json.dumps({"bucket": bucket, "rows": rows}).encode()


class _Reader:
    """Reads committed records of a job's topic, and knows how far it has come."""

    def __init__(self, settings: KafkaSettings, job: str) -> None:
        self._settings = settings
        self._topic = job_topic(job)
        self._consumer = confluent_kafka.Consumer(
            settings.confluent()
            | {
                "group.id": job_group(job),  # asked for, and never joined
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
                "reconnect.backoff.max.ms": 1_000,
                # A question about an offset stands behind the fetch that waits on the same connection.
                "fetch.wait.max.ms": 50,
            },
            logger=log,
        )
        self._read: dict[int, int] = {}
        """for each assigned partition the offset up to which it was read"""

    def partitions(self) -> tuple[int, ...]:
        """Those of the topic; none if there is no topic. Raises BrokerError."""
        try:
            topic = self._consumer.list_topics(self._topic, _ASK_S).topics[self._topic]
        except KafkaException as error:
            raise unreachable(self._settings, error.args[0]) from error
        return () if topic.error is not None else tuple(sorted(topic.partitions))

    def assign(self, partitions: Sequence[int]) -> None:
        """Read these, from their beginning."""
        self._read = dict.fromkeys(partitions, 0)
        self._consumer.assign([confluent_kafka.TopicPartition(self._topic, number, 0) for number in partitions])

    def take(self, timeout_s: float) -> Iterator[tuple[bytes | None, bytes]]:
        """Key and value of what has come; waits up to the time while there is nothing."""
        first = self._consumer.poll(timeout_s)  # asked for several, it would wait the whole time for the last of them
        messages = [] if first is None else [first, *self._consumer.consume(_RECORDS_AT_ONCE, 0.0)]
        for message in messages:
            error, number, offset = message.error(), message.partition(), message.offset()
            assert number is not None
            assert offset is not None
            if error is None:
                self._read[number] = offset + 1
                yield message.key(), message.value() or b""
            elif error.code() == KafkaError._PARTITION_EOF:  # control records at the end are seen by this alone
                self._read[number] = max(self._read[number], offset)
            elif error.fatal():
                raise unreachable(self._settings, error)

    def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        """The end of what is committed in each, as of now. Raises BrokerError."""
        until = time.monotonic() + _PATIENCE_S
        found: dict[int, int] = {}
        while len(found) < len(partitions):
            number = partitions[len(found)]
            try:
                at = confluent_kafka.TopicPartition(self._topic, number)
                found[number] = self._consumer.get_watermark_offsets(at, _ASK_S)[1]
            except KafkaException as error:
                if time.monotonic() > until:
                    raise unreachable(self._settings, error.args[0]) from error
        return found

    def read_to(self, ends: Mapping[int, int]) -> Iterator[tuple[bytes | None, bytes]]:
        """What comes until the assigned partitions are read so far. Raises BrokerError."""
        until = time.monotonic() + _PATIENCE_S
        while any(self._read[number] < end for number, end in ends.items()):
            yield from self.take(0.5)
            if time.monotonic() > until:
                raise unreachable(self._settings, KafkaError(KafkaError._TIMED_OUT))

    def close(self) -> None:
        self._consumer.close()


class JobLog:
    """Follows a job's topic. May be used by several threads."""

    def __init__(self, settings: KafkaSettings, job: str) -> None:
        self._settings = settings
        self._job = job
        self._lock = threading.Lock()
        self._reader = _Reader(settings, job)
        self._partitions: tuple[int, ...] = ()
        self.plan: bytes | None = None
        self.done: Mapping[int, BucketCounts] = {}
        """the buckets that are done; a new mapping whenever there is one more, so that any thread may go through it"""

    def open(self) -> None:
        """Read all that is there. May be called again, once there is a topic. Raises BrokerError."""
        with self._lock:
            self._partitions = self._reader.partitions()
            self._reader.assign(self._partitions)
        self.catch_up(*self._partitions)

    def poll(self) -> None:
        """Take note of what has come, without waiting."""
        with self._lock:
            for key, value in self._reader.take(0.0):
                self._note(key, value)

    def catch_up(self, *partitions: int) -> None:
        """Read these partitions to the end of what is committed in them now. Raises BrokerError."""
        with self._lock:
            for key, value in self._reader.read_to(self._reader.ends(partitions)):
                self._note(key, value)

    def note_done(self, counts: BucketCounts) -> None:
        """A bucket that this process has committed, without waiting to read it."""
        with self._lock:
            self._add(counts)

    def rejects(self) -> Iterator[Reject]:
        """All rejected rows of the job, from a reading of its own. Raises BrokerError."""
        reader = _Reader(self._settings, self._job)
        try:
            for number in self._partitions:
                reader.assign([number])
                for key, value in reader.read_to(reader.ends([number])):
                    if key == REJECTS:
                        yield from (Reject(*row) for row in json.loads(value)["rows"])
        finally:
            reader.close()

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._reader.close()

    def _note(self, key: bytes | None, value: bytes) -> None:
        if key == PLAN and self.plan is None:
            self.plan = value
        elif key == DONE:
            self._add(BucketCounts(**json.loads(value)))

    def _add(self, counts: BucketCounts) -> None:
        self.done = {**self.done, counts.bucket: counts}


def unreachable(settings: KafkaSettings, error: KafkaError) -> BrokerError:
    """For a job that cannot reach its topic."""
    return BrokerError(
        ErrorCode.BROKER_UNREACHABLE,
        f"the job's topic cannot be reached at {settings.bootstrap_servers}: {error.str()}; check that Kafka runs, "
        "then run the same command again: it goes on where it was",
    )
