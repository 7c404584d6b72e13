"""Who is told what becomes of a client's calls: its metrics, and OpenTelemetry where the application has it."""

import logging
import sys
from collections.abc import Callable

from manyheads.producers.answer import Answer
from manyheads.producers.calls import Call, Dispatch, Outcome
from manyheads.producers.metrics import ClientMetrics
from manyheads.topics.headers import Headers
from manyheads.topics.names import Lane
from manyheads.topics.telemetry import OK

_log = logging.getLogger(__name__)

CANCELLED = "cancelled"
"""the outcome of a call that its caller gave up; all others are ok, sent and the error codes"""
SENT = "sent"
"""the outcome of a call that ended with a ticket"""


class CallWatch:
    """Told by the exchange. Metrics that raise are told nothing more: no answer depends on them."""

    def __init__(self, lane: Lane, metrics: ClientMetrics | None) -> None:
        self._lane = lane
        self._metrics = metrics

    def sends(self, dispatch: Dispatch) -> None:
        """Its calls were made; it is sent with the headers that it has after this."""
        # An application that never imported OpenTelemetry has no tracer provider.
        if "opentelemetry.trace" in sys.modules:
            from manyheads.producers.spans import SendSpan  # noqa: PLC0415 - no dependency of the SDK

            dispatch.span = SendSpan.begin(dispatch, self._lane)
        ring = dispatch.calls[0].ring  # of all of them
        for _ in dispatch.calls:
            self._tell(lambda metrics: metrics.began(ring, self._lane))

    def accepted(self, dispatch: Dispatch) -> None:
        """The broker has it."""
        if dispatch.span is not None:
            dispatch.span.end()

    def ended(self, call: Call, outcome: Outcome | None, now: float, headers: Headers = ()) -> None:
        """A call was settled at ``now``, seconds of the client's clock.

        Args:
            call: which.
            outcome: None where its caller gave it up.
            now: the present.
            headers: those of the reply; none if there was no reply.
        """
        self._end(
            call, CANCELLED if outcome is None else OK if isinstance(outcome, Answer) else outcome.code, now, headers
        )

    def handed_over(self, call: Call, now: float) -> None:
        """The broker has a call that ends with a ticket."""
        self._end(call, SENT, now)

    def _end(self, call: Call, code: str, now: float, headers: Headers = ()) -> None:
        self._tell(lambda metrics: metrics.ended(call.ring, self._lane, code, max(0.0, now - call.opened)))
        span = call.dispatch.span
        if span is not None:
            span.received(call, code, headers)
            if not call.dispatch.unsettled:
                span.end(OK if headers or code == SENT else code)

    def _tell(self, told: Callable[[ClientMetrics], None]) -> None:
        if self._metrics is None:
            return
        try:
            told(self._metrics)
        except Exception:
            self._metrics = None
            _log.exception("the client's metrics failed, and are told nothing more")
