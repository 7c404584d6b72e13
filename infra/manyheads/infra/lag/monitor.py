"""Measuring consumer lag again and again."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kafka.errors import KafkaError

from manyheads.infra.admin.client import no_answer
from manyheads.infra.lag.assess import Assessor
from manyheads.infra.lag.connection import Connection
from manyheads.infra.lag.judge import Rules
from manyheads.infra.lag.measure import Measurer
from manyheads.infra.lag.model import LagSnapshot
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.errors import ClientClosed, ErrorCode

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Clock:
    """The two times that a measurement needs; a test gives its own."""

    monotonic: Callable[[], float] = time.monotonic
    """seconds; only ever forward"""
    wall: Callable[[], float] = time.time
    """seconds since 1970, as the timestamps of records"""


DEFAULT_RULES = Rules()
SYSTEM_CLOCK = Clock()


class LagMonitor:
    """The lag of consumer groups, measured whenever :meth:`poll` is called.

    ::

        with LagMonitor(settings) as monitor:
            while True:
                show(monitor.poll())
                time.sleep(2)

    Rates, ETA and the states but ERR and REWIND need several polls. Not thread-safe: one thread polls.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        groups: re.Pattern[str] | None = None,
        *,
        rules: Rules = DEFAULT_RULES,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Describe it; nothing is asked before the first poll.

        Args:
            settings: how to reach Kafka.
            groups: matches the whole names of the groups to measure; all if None.
            rules: how long to look before judging.
            timeout_s: how long a poll may take, whatever the brokers do.
            clock: where the time comes from.
        """
        self._settings = settings
        self._timeout_s = timeout_s
        self._clock = clock
        self._measurer = Measurer(groups)
        self._assessor = Assessor(rules)
        self._connection: Connection | None = None
        self._open = False

    def __enter__(self) -> Self:
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._disconnect()

    def poll(self) -> LagSnapshot:
        """Measure once. A broker that is away is said in the snapshot.

        Raises:
            InvalidSettings: a certificate or key file cannot be read.
            ClientClosed: outside of ``with``.
        """
        if not self._open:
            raise ClientClosed(ErrorCode.CLIENT_CLOSED, "the lag monitor is not open: use it with 'with'")
        until = time.monotonic() + self._timeout_s
        try:
            if self._connection is None:
                self._connection = Connection.within(self._settings, self._timeout_s)
            self._connection.begin(until)
            measured = self._measurer.measure(self._connection)
        except (KafkaError, OSError) as error:
            self._disconnect()
            self._assessor.forget()  # what happened meanwhile is not known
            return LagSnapshot(round(self._clock.wall() * 1_000), no_answer(self._settings, self._timeout_s, error))
        return self._assessor.assess(measured, self._clock.monotonic(), self._clock.wall())

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
