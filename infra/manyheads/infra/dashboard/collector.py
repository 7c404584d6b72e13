"""The one place that asks Kafka, however many browsers look."""

import logging
import re
import threading
import time
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from manyheads.infra.dashboard.history import LagHistory
from manyheads.infra.dashboard.letterbox import LetterBox
from manyheads.infra.dashboard.model import Letter, Series, Snapshot, Traffic
from manyheads.infra.lag import LagMonitor, LagSnapshot
from manyheads.infra.registry.follower import RegistryFollower
from manyheads.infra.registry.snapshot import RegistrySnapshot
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.telemetry.aggregate import Aggregate, LaneKey, TenantFigures
from manyheads.infra.telemetry.logs import event
from manyheads.infra.telemetry.reports import ReportReader
from manyheads.topics.errors import BrokerError, InternalError
from manyheads.topics.names import PREFIX, RingName, TenantName

_log = logging.getLogger(__name__)

EVERY_S = 1.0
_NOW_MS = 15_000
_WHOLE_MS = 900_000
_TENANTS_EVERY_S = 5.0
_LETTERS_EVERY_S = 4.0
_REGISTRY_RETRY_S = 10.0
_REGISTRY_TIMEOUT_S = 3.0
_CARE = 20
"""a costly question is asked again after so many times what its answer took"""


class Collector:
    """Measures lag, adds up reports and reads dead letters, in a thread of its own; a context manager.

    Attributes:
        snapshot: the newest; None before the first.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self.snapshot: Snapshot | None = None
        self._reports = ReportReader(settings)
        self._letters = LetterBox(settings)
        self._history = LagHistory()
        self._registry: RegistryFollower | None = None
        self._registry_at = 0.0
        self._tenants: tuple[TenantFigures, ...] = ()
        self._tenants_at = 0.0
        self._letters_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dashboard-collector", daemon=True)

    def now_ms(self) -> int:
        """ms since 1970."""
        return time.time_ns() // 1_000_000

    def tenant_series(self, ring: RingName, tenant: TenantName) -> tuple[TenantFigures, ...]:
        """One tenant's last 15 minutes, the oldest first."""
        return self._reports.query(lambda reports, now: reports.tenant_series(ring, tenant, now))

    def tenant_requests(self, ring: str, tenant: str) -> tuple[int, ...]:
        """How many requests it had in each part of them."""
        return self._reports.query(lambda reports, now: reports.tenant_requests(ring, tenant, now))

    def read_text(self, letter: Letter) -> str:
        """A dead letter's text, read from Kafka. Blocks. Raises BrokerError."""
        return self._letters.text(letter)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    # --- the collector's own thread ---

    def _run(self) -> None:
        with ExitStack() as open_parts:
            open_parts.callback(self._close_registry)
            open_parts.callback(self._letters.close)
            open_parts.enter_context(self._reports)
            lag = open_parts.enter_context(LagMonitor(self._settings, re.compile(rf"{PREFIX}\..*"), timeout_s=3.0))
            while not self._stopping.is_set():
                began = time.monotonic()
                try:
                    self._collect(lag.poll())
                except Exception:
                    # Pages go on with the last snapshot and show its age; the next round may do better.
                    event(_log, "dashboard_round_failed", level=logging.ERROR, exc_info=True)
                self._stopping.wait(max(0.1, EVERY_S - (time.monotonic() - began)))

    def _collect(self, lag: LagSnapshot) -> None:
        self._history.add(lag)
        present = lag.broker is None
        if present and time.monotonic() >= self._letters_at:
            self._letters_at = time.monotonic() + _LETTERS_EVERY_S
            self._letters.read(each.topic for each in lag.dead_letters if each.count)
        self.snapshot = Snapshot(
            at_ms=lag.at_ms,
            lag=lag,
            past=self._history.past(lag.at_ms),
            traffic=self._traffic(),
            letters=self._letters.letters,
            registry=self._registry_snapshot(present),
        )

    def _traffic(self) -> Traffic:
        if time.monotonic() >= self._tenants_at:
            began = time.monotonic()
            self._tenants = self._reports.query(lambda reports, now: reports.tenants(now, limit=None))
            took = time.monotonic() - began
            self._tenants_at = time.monotonic() + max(_TENANTS_EVERY_S, _CARE * took)
        lanes = self._reports.query(lanes_of)
        workers = self._reports.query(lambda reports, now: reports.workers(now))
        return Traffic(self._reports.problem, lanes, self._tenants, workers)

    def _registry_snapshot(self, present: bool) -> RegistrySnapshot | None:
        """None while there is no registry to read."""
        if self._registry is None and present and time.monotonic() >= self._registry_at:
            self._registry_at = time.monotonic() + _REGISTRY_RETRY_S
            follower = RegistryFollower(self._settings)
            with suppress(BrokerError):
                follower.start(_REGISTRY_TIMEOUT_S)
                self._registry = follower
        try:
            return None if self._registry is None else self._registry.snapshot
        except InternalError:  # it has failed for good: another one is tried
            self._close_registry()
            return None

    def _close_registry(self) -> None:
        registry, self._registry = self._registry, None
        if registry is not None:
            registry.close()


def lanes_of(reports: Aggregate, now_ms: int) -> dict[LaneKey, Series]:
    """Every lane's last seconds, its 15 minutes, and these in slots."""
    whole = reports.lanes(now_ms, _WHOLE_MS)
    now = reports.lanes(now_ms, _NOW_MS)
    nothing = reports.series(now_ms, _NOW_MS, ring="")[-1]
    found = {}
    for key, figures in whole.items():
        slots = reports.series(now_ms, _WHOLE_MS, ring=key.ring, stage=key.stage, cell=key.cell, lane=key.lane)
        found[key] = Series(slots, now.get(key, nothing), figures)
    return found
