"""W3C trace context, between the headers of records and OpenTelemetry. Imported only where that is installed."""

from opentelemetry.context import Context
from opentelemetry.trace import Span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from manyheads.topics.headers import TRACEPARENT, TRACESTATE

_PROPAGATOR = TraceContextTextMapPropagator()


def context_of(traceparent: str | None, tracestate: str | None = None) -> Context:
    """The sender's context, for children of its span; without a traceparent an empty one, not the active span's."""
    if traceparent is None:
        return Context()
    carrier = {TRACEPARENT: traceparent} if tracestate is None else {TRACEPARENT: traceparent, TRACESTATE: tracestate}
    return _PROPAGATOR.extract(carrier, Context())


def trace_of(span: Span) -> tuple[str | None, str | None]:
    """The traceparent and the tracestate that make a message's receiver a child of ``span``; None if there is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(span, Context()))
    return carrier.get(TRACEPARENT), carrier.get(TRACESTATE)
