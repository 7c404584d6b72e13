"""A bucket's end: one Kafka transaction, which of all processes that try only one can commit."""

import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Lock

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from manyheads.infra.kafka.config import publisher_config
from manyheads.infra.kafka.errors import broker_error, is_for_good, kafka_error, log
from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.telemetry import event
from manyheads.producers.reprocess.job_log import (
    DONE,
    PLAN,
    REJECTS,
    REJECTS_AT_ONCE,
    BucketCounts,
    JobLog,
    rejects_to_bytes,
)
from manyheads.producers.reprocess.work import Reject
from manyheads.topics.errors import BrokerError, ErrorCode
from manyheads.topics.names import job_group, job_topic

_CALL_S = 30.0
_TRANSACTION_MS = 300_000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_KEPT_PRODUCERS = 4


@dataclass(frozen=True, slots=True)
class Finished:
    """What a bucket leaves, to be written in one transaction."""

    counts: BucketCounts
    rejects: Sequence[Reject]
    records: Callable[[], Iterator[Outgoing]] | None = None
    """answered rows for a topic; called again where the transaction must be"""


class Completions:
    """Commits buckets. One thread at a time.

    The transactional id is the partition's: who begins on it shuts out whoever was there before, also one that was
    only thought dead, and then reads what that one had committed. So a bucket is committed once.
    """

    def __init__(self, settings: KafkaSettings, job: str, job_log: JobLog) -> None:
        self._settings = settings
        self._job = job
        self._job_log = job_log
        self._producers: OrderedDict[int, confluent_kafka.Producer] = OrderedDict()
        self._lock = Lock()
        self._closed = False

    def put_plan(self, plan: bytes) -> None:
        """Propose a plan; the first that anybody proposed holds. Raises BrokerError."""
        producer = confluent_kafka.Producer(self._settings.confluent() | publisher_config(), logger=log)
        producer.produce(job_topic(self._job), plan, PLAN, partition=0)
        if producer.flush(_CALL_S):
            raise BrokerError(
                ErrorCode.BROKER_UNREACHABLE,
                f"the job's plan could not be written to {job_topic(self._job)} within {_CALL_S:.0f} s; check that "
                "Kafka runs and that this user may write to it",
            )

    def commit(self, partition: int, finished: Finished) -> bool:
        """Commit a bucket; False if another process had done so. Tries until it works.

        Raises:
            BrokerError: Kafka refuses it for good.
        """
        tries = 0
        with self._lock:
            while not self._closed:
                try:
                    producer = self._producer(partition)
                    if finished.counts.bucket in self._job_log.done:
                        return False
                    self._write(producer, partition, finished)
                except (KafkaException, BrokerError) as raised:
                    self._forget(partition)
                    if isinstance(raised, KafkaException):
                        _check(kafka_error(raised))
                    tries += 1
                    event(log, "commit_again", level=logging.WARNING, partition=partition, reason=str(raised))
                    time.sleep(_pause_s(tries))
                else:
                    self._job_log.note_done(finished.counts)
                    return True
        return False

    def forget(self, partition: int) -> None:
        """The partition is another process's now."""
        with self._lock:
            self._forget(partition)

    def close(self) -> None:
        """Let go of all connections; what is under way is given up after its current try."""
        self._closed = True
        with self._lock:
            self._producers.clear()

    def _producer(self, partition: int) -> confluent_kafka.Producer:
        """A producer that has shut out all earlier ones of the partition, with the log read up to what they left."""
        producer = self._producers.get(partition)
        if producer is None:
            producer = confluent_kafka.Producer(
                self._settings.confluent()
                | publisher_config()
                | {
                    "transactional.id": f"{job_group(self._job)}.{partition}",
                    "transaction.timeout.ms": _TRANSACTION_MS,
                    "message.timeout.ms": _TRANSACTION_MS,
                    "compression.type": "lz4",
                },
                logger=log,
            )
            producer.init_transactions(_CALL_S)
            self._job_log.catch_up(partition)
            self._producers[partition] = producer
            while len(self._producers) > _KEPT_PRODUCERS:
                self._producers.popitem(last=False)
        self._producers.move_to_end(partition)
        return producer

    def _write(self, producer: confluent_kafka.Producer, partition: int, finished: Finished) -> None:
        failed: list[KafkaError] = []

        def send(outgoing: Outgoing) -> None:
            while True:
                try:
                    producer.produce(
                        outgoing.topic,
                        outgoing.value,
                        outgoing.key,
                        partition=-1 if outgoing.partition is None else outgoing.partition,
                        headers=list(outgoing.headers),
                        on_delivery=lambda error, _: failed.append(error) if error is not None else None,
                    )
                except BufferError:
                    producer.poll(0.05)
                else:
                    producer.poll(0)
                    return

        producer.begin_transaction()
        for outgoing in finished.records() if finished.records is not None else ():
            send(outgoing)
        topic, bucket = job_topic(self._job), finished.counts.bucket
        rest = iter(finished.rejects)
        while some := list(islice(rest, REJECTS_AT_ONCE)):
            send(Outgoing(topic, rejects_to_bytes(bucket, some), REJECTS, partition=partition))
        send(Outgoing(topic, finished.counts.to_bytes(), DONE, partition=partition))
        _committed(producer)
        if failed:  # librdkafka does not commit then; to be sure
            raise KafkaException(failed[0])

    def _forget(self, partition: int) -> None:
        self._producers.pop(partition, None)


# Trying again is of no use.
_NEVER = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART})


def _check(error: KafkaError) -> None:
    if is_for_good(error) or error.code() in _NEVER:
        raise broker_error("a bucket cannot be committed", error)


def _committed(producer: confluent_kafka.Producer) -> None:
    while True:
        try:
            producer.commit_transaction(_CALL_S)
        except KafkaException as raised:
            if not kafka_error(raised).retriable():
                raise
        else:
            return


def _pause_s(tries: int) -> float:
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(tries - 1, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 - so that not all come back at once
