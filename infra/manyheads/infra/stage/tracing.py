"""What a worker's lanes did, as spans. Imported only where OpenTelemetry is installed and configured.

Each record has a span, the child of its sender's, from when it was taken until all that it led to was acknowledged;
what is published for it names that span as its sender's. The compute of a batch has one span: a child of the first
record's, linked with all that joined it.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, set_span_in_context

from manyheads.infra.stage.options import LaneInput
from manyheads.infra.stage.tickets import Taken, Ticket
from manyheads.infra.telemetry.tracecontext import context_of, trace_of
from manyheads.topics import tracing
from manyheads.topics.telemetry import OK


class RecordSpan:
    """The span of one record. Its end is counted from its beginning, on the loop's clock."""

    __slots__ = ("_began", "_began_ns", "_span")

    def __init__(self, span: Span, began_ns: int, began: float) -> None:
        self._span = span
        self._began_ns = began_ns
        self._began = began

    def end(self, outcome: str, at: float) -> None:
        """The record was finished ``at`` this time of the loop's clock; ``outcome`` is ok or an error code."""
        if outcome != OK:
            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute(tracing.ERROR_TYPE, outcome)
        self._span.end(self._began_ns + _ns(at - self._began))


class LaneTracing:
    """The spans of one lane. Called by the stage's thread."""

    def __init__(self, tracer: Tracer, stage: str, lane_input: LaneInput, clock_ns: Callable[[], int]) -> None:
        self._tracer = tracer
        self._clock_ns = clock_ns
        self._name = tracing.message_span(tracing.PROCESS, lane_input.topic)
        self._compute_name = tracing.compute_span(stage)
        where = {tracing.STAGE: stage, tracing.RING: lane_input.ring, tracing.LANE: lane_input.lane.value}
        message = tracing.message_attributes(tracing.PROCESS, lane_input.topic)
        self._attributes = message | {tracing.GROUP: lane_input.group} | where
        self._compute_attributes = where
        self._began_ns = 0
        self._joined: list[Span] = []
        """the spans of the records of the compute that goes on"""

    def takes(self, taken: Taken, now: float) -> None:
        """These were taken at ``now``, seconds of the loop's clock, and a compute begins with their jobs."""
        self._began_ns = self._clock_ns()
        self._joined = [span for ticket in taken.tickets if (span := self._begin(ticket, now)) is not None]
        for ticket in dict.fromkeys(publication.ticket for publication in taken.publications):
            self._begin(ticket, now)

    def computed(self, seconds: float, tokens: int) -> None:
        """The compute has taken so long, and read so many tokens."""
        joined, self._joined = self._joined, []
        if not joined:
            return
        span = self._tracer.start_span(
            self._compute_name,
            set_span_in_context(joined[0], Context()),
            attributes=self._compute_attributes | {tracing.BATCH_RECORDS: len(joined), tracing.TOKENS: tokens},
            links=[Link(each.get_span_context()) for each in joined],
            start_time=self._began_ns,
        )
        for each in joined[1:]:  # their traces have no other way to it
            each.add_link(span.get_span_context())
        span.end(self._began_ns + _ns(seconds))

    def _begin(self, ticket: Ticket, now: float) -> Span | None:
        """The ticket's span, if it is sampled."""
        envelope = ticket.envelope
        if envelope is None:
            return None
        sender = context_of(envelope.traceparent, envelope.tracestate)
        span = self._tracer.start_span(
            self._name, sender, SpanKind.CONSUMER, self._attributes, start_time=self._began_ns
        )
        # Not sampled is worth telling too: else the next stage would decide anew.
        traceparent, tracestate = trace_of(span)
        ticket.envelope = replace(envelope, traceparent=traceparent, tracestate=tracestate)
        if not span.is_recording():
            return None
        span.set_attributes(
            {
                tracing.PARTITION: str(ticket.record.partition),
                tracing.OFFSET: ticket.record.offset,
                tracing.CONVERSATION: envelope.reply.correlation_id.hex(),
                tracing.TENANT: envelope.tenant,
            }
        )
        ticket.span = RecordSpan(span, self._began_ns, now)
        return span


class StageTracing:
    """The spans of a worker.

    Args:
        tracer: of the provider that exports them.
        clock_ns: nanoseconds since the epoch.
    """

    def __init__(self, tracer: Tracer, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._tracer = tracer
        self._clock_ns = clock_ns

    def lane(self, stage: str, lane_input: LaneInput) -> LaneTracing:
        """Those of one more lane."""
        return LaneTracing(self._tracer, stage, lane_input, self._clock_ns)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
