"""Follow the workers' reports: a thread that reads the telemetry topic and adds up what it says."""

import logging
import time
from collections.abc import Callable
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Self, TypeVar

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from manyheads.infra.settings.kafka import KafkaSettings
from manyheads.infra.telemetry.aggregate import Aggregate
from manyheads.infra.telemetry.logs import event
from manyheads.topics.errors import WireError
from manyheads.topics.names import TELEMETRY_TOPIC
from manyheads.topics.telemetry import WorkerReport

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_POLL_S = 0.2
"""How long a stop waits at most for the thread."""
_BATCH = 500
_ASK_S = 5.0
_RETRY_S = 1.0
_FORGET_EVERY_S = 5.0

_NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})


class ReportReader:
    """The reports of the last ``since_s`` seconds and all that come; a context manager.

    It never raises for a broker that is away or a topic that is not there: :attr:`problem` says so, and it goes on when
    they are. It joins no group and changes nothing.

    Args:
        settings: how to reach Kafka.
        since_s: how far back it reads and remembers.
        clock: milliseconds since the epoch.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        since_s: float = 900.0,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = settings
        self._since_ms = round(since_s * 1000)
        self._clock = clock
        self._aggregate = Aggregate(self._since_ms)
        self._changed = Condition()
        self._behind: set[int] | None = None
        """partitions whose end was not reached yet; None before they are known"""
        self._problem: str | None = None
        self._trouble: KafkaError | None = None
        """what librdkafka said last, and tries to overcome by itself"""
        self._stopping = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to read; returns at once. Once only."""
        assert self._thread is None, "a ReportReader is started once"
        self._thread = Thread(target=self._run, name="report-reader", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading; what was read stays. Safe to call twice."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def problem(self) -> str | None:
        """Why nothing comes, as a sentence that says what to do; None while reports can be read."""
        return self._problem

    def wait_until_read(self, timeout_s: float) -> bool:
        """Wait until all that was there at the start is added up; False if there is a problem or time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._behind == set() or self._problem, timeout_s)
            return self._behind == set()

    def query(self, ask: Callable[[Aggregate, int], _T]) -> _T:
        """What ``ask`` makes of the reports and the present, in milliseconds since the epoch.

        ::

            reader.query(lambda reports, now: reports.tenants(now, by=TenantOrder.ERRORS))

        Nothing is added meanwhile, so several figures that are asked for at once agree; be quick.
        """
        with self._changed:
            return ask(self._aggregate, self._clock())

    # --- the reader's own thread ---

    def _run(self) -> None:
        while not self._stopping.is_set():
            consumer = Consumer(
                {
                    **self._settings.confluent(),
                    "reconnect.backoff.max.ms": 1_000,
                    # librdkafka wants a group's name; without subscribe and commit none is ever joined.
                    "group.id": "manyheads-telemetry-unused",
                    "enable.auto.commit": False,
                    "enable.partition.eof": True,
                    "auto.offset.reset": "earliest",
                    "allow.auto.create.topics": False,
                    "fetch.queue.backoff.ms": 10,
                    "error_cb": self._has_trouble,
                },
                logger=_log,
            )
            try:
                self._assign(consumer)
                self._follow(consumer)
            except KafkaException as raised:
                self._has_problem(raised.args[0])
                self._stopping.wait(_RETRY_S)
            finally:
                consumer.close()

    def _assign(self, consumer: Consumer) -> None:
        """Start where the remembered time begins, or where an earlier consumer has come to."""
        topic = consumer.list_topics(TELEMETRY_TOPIC, timeout=_ASK_S).topics[TELEMETRY_TOPIC]
        if topic.error is not None or not topic.partitions:
            raise KafkaException(topic.error or KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        with self._changed:
            self._aggregate = Aggregate(self._since_ms)  # what is read again is not counted twice
        since_ms = self._clock() - self._since_ms
        wanted = [TopicPartition(TELEMETRY_TOPIC, number, since_ms) for number in topic.partitions]
        starts = consumer.offsets_for_times(wanted, timeout=_ASK_S)
        for start in starts:
            if start.error is not None:
                raise KafkaException(start.error)
        consumer.assign([TopicPartition(at.topic, at.partition, _offset(at.offset)) for at in starts])
        with self._changed:
            self._behind = set(topic.partitions)
            self._problem = None

    def _follow(self, consumer: Consumer) -> None:
        forgotten = time.monotonic()
        while not self._stopping.is_set():
            reports: list[WorkerReport] = []
            ended: set[int] = set()
            for message in consumer.consume(_BATCH, _POLL_S):
                self._take(message, reports, ended)
            with self._changed:
                for report in reports:
                    self._aggregate.add(report)
                if time.monotonic() - forgotten >= _FORGET_EVERY_S:
                    forgotten = time.monotonic()
                    self._aggregate.forget(self._clock())
                if ended and self._behind:
                    self._behind -= ended
                self._changed.notify_all()
            if reports:
                self._trouble = None
            elif self._trouble is not None:
                self._trouble = None
                consumer.list_topics(TELEMETRY_TOPIC, timeout=_ASK_S)  # raises if the broker is still away

    def _take(self, message: Message, reports: list[WorkerReport], ended: set[int]) -> None:
        error = message.error()
        if error is None:
            try:
                reports.append(WorkerReport.from_bytes(message.value()))
            except WireError as wrong:
                event(_log, "report_skipped", level=logging.DEBUG, offset=message.offset(), error=wrong)
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition() or 0)
        else:
            raise KafkaException(error)

    def _has_trouble(self, error: KafkaError) -> None:
        self._trouble = error

    def _has_problem(self, error: KafkaError) -> None:
        if error.code() in _NO_TOPIC:
            problem = f"Kafka has no topic {TELEMETRY_TOPIC}; create it with: manyheads topics create"
        else:
            problem = (
                f"the workers' reports cannot be read from {self._settings.bootstrap_servers} "
                f"({error.name()}, {error.str()}); check that Kafka runs and that {TELEMETRY_TOPIC} may be read"
            )
        if problem != self._problem:
            event(_log, "reports_unavailable", level=logging.WARNING, reason=problem)
        with self._changed:
            self._problem = problem
            self._changed.notify_all()


def _offset(found: int) -> int:
    """Of a time that no record has come since, the end."""
    return OFFSET_END if found < 0 else found
