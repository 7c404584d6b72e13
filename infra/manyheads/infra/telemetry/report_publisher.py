"""Publish a worker's reports: a thread of its own, so that nothing of it can hold up or fail the worker."""

import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Protocol, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from manyheads.infra.settings.kafka import KafkaSettings
from manyheads.infra.telemetry.logs import event
from manyheads.infra.telemetry.metrics import NO_METRICS, Metrics
from manyheads.topics.errors import WireError
from manyheads.topics.metrics import REPORTS
from manyheads.topics.names import TELEMETRY_TOPIC
from manyheads.topics.telemetry import (
    MAX_REASON_CHARACTERS,
    OK,
    REPORT_INTERVAL_S,
    HeadsReport,
    LaneReport,
    WorkerIdentity,
    WorkerReport,
    WorkerState,
)

_log = logging.getLogger(__name__)

_FAREWELL_S = 2.0

_CONFIG = {
    "acks": 1,
    "linger.ms": 0,
    "compression.type": "lz4",
    # What cannot be written soon is of no use later.
    "message.timeout.ms": 10_000,
    "queue.buffering.max.messages": 100,
    "reconnect.backoff.max.ms": 1_000,
    "topic.metadata.propagation.max.ms": 5_000,
    "allow.auto.create.topics": False,
}


class ReportSource(Protocol):
    """What a worker has to report. Asked from the publisher's thread."""

    @property
    def state(self) -> WorkerState:
        """How far the worker's life has come."""

    @property
    def waits_for(self) -> str:
        """Why it is not ready; empty if it is."""

    @property
    def heads(self) -> HeadsReport | None:
        """The heads in memory, of a head worker."""

    @property
    def models(self) -> dict[str, str]:
        """Versions of what it serves, by name."""

    @property
    def registry_behind(self) -> int | None:
        """Records of the registry that it has not read yet; None where that is not known."""

    def report(self) -> tuple[LaneReport, ...]:
        """What its lanes did since the last call."""


class ReportPublisher:
    """Reports every two seconds, and once more when it is closed; a context manager.

    Where the topic is missing or may not be written to, as in a cluster made by an older version, it says so once, and
    the worker serves on.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        worker: WorkerIdentity,
        source: ReportSource,
        metrics: Metrics = NO_METRICS,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Reports of ``source`` as ``worker``'s, counted in ``metrics``; ``clock`` has milliseconds since the epoch."""
        self._settings = settings
        self._worker = worker
        self._source = source
        self._metrics = metrics
        self._clock = clock
        self._last_ms = worker.started_ms
        self._refused = False
        """whether it was said that reports are not taken"""
        self._closing = Event()
        self._thread = Thread(target=self._run, name="report-publisher", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def close(self) -> None:
        """Report for the last time, for at most two seconds. Safe to call twice."""
        self._closing.set()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def next_report(self, *, last: bool = False) -> WorkerReport:
        """What happened since the report before."""
        source = self._source
        now_ms = self._clock()
        since_ms, self._last_ms = self._last_ms, now_ms
        return WorkerReport(
            worker=self._worker,
            state=WorkerState.STOPPED if last else source.state,
            waits_for=source.waits_for[:MAX_REASON_CHARACTERS],
            at_ms=now_ms,
            interval_ms=max(0, now_ms - since_ms),
            rss_bytes=resident_bytes(),
            heads=source.heads,
            models=source.models,
            lanes=source.report(),
            registry_behind=source.registry_behind,
        )

    def _run(self) -> None:
        try:
            producer = Producer({**self._settings.confluent(), **_CONFIG, "error_cb": _ignored}, logger=_log)
            while not self._closing.wait(REPORT_INTERVAL_S):
                self._publish(producer, self.next_report())
            self._publish(producer, self.next_report(last=True))
            producer.flush(_FAREWELL_S)
        except Exception:
            # A defect here must not end a worker that serves.
            event(_log, "reports_failed", level=logging.ERROR, exc_info=True)

    def _publish(self, producer: Producer, report: WorkerReport) -> None:
        try:
            producer.produce(TELEMETRY_TOPIC, report.to_bytes(), report.key, on_delivery=self._delivered)
        except BufferError:
            pass  # the broker is away: there are newer figures soon
        except KafkaException as raised:
            self._has_failed(raised.args[0].str())
        except WireError as error:
            self._has_failed(str(error))
        producer.poll(0)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._refused = False
            self._metrics.inc(REPORTS, {"outcome": OK})
        elif not self._closing.is_set():
            self._has_failed(error.str())

    def _has_failed(self, reason: str) -> None:
        self._metrics.inc(REPORTS, {"outcome": "failed"})
        if not self._refused:
            self._refused = True
            event(
                _log,
                "reports_not_taken",
                level=logging.WARNING,
                topic=TELEMETRY_TOPIC,
                reason=reason,
                advice="the worker serves on, unseen by dashboards; create the topic with: manyheads topics create",
            )


def worker_identity(instance: str, stage: str, ring: str, cell: str | None) -> WorkerIdentity:
    """This process."""
    from importlib.metadata import version  # noqa: PLC0415 - slow to import

    return WorkerIdentity.model_validate(
        {
            "instance": instance,
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "stage": stage,
            "ring": ring,
            "cell": cell,
            "package": version("manyheads"),
            "started_ms": time.time_ns() // 1_000_000,
        }
    )


def resident_bytes() -> int:
    """Memory of this process; where the system does not tell, the most that it ever had."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return pages * resource.getpagesize()


def _ignored(_error: KafkaError) -> None:
    """The worker's own clients tell of the broker."""
