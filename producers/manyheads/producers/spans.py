"""A client's calls as spans of the application's own tracer provider. Imported only where OpenTelemetry is.

The record of a dispatch is sent within a span, the child of the application's, until the broker has it. Each reply has
a span of its own, the child of the span that answered; so has a call that ends without a reply.
"""

from functools import lru_cache

from opentelemetry.context import Context
from opentelemetry.trace import (
    ProxyTracerProvider,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    TracerProvider,
    get_current_span,
    get_tracer_provider,
    set_span_in_context,
)

from manyheads.infra.telemetry.tracecontext import context_of, trace_of
from manyheads.producers.calls import Call, Dispatch
from manyheads.topics import tracing
from manyheads.topics.headers import TRACEPARENT, TRACESTATE, Headers, trace_headers
from manyheads.topics.headers import trace_of as trace_in
from manyheads.topics.names import REPLIES_TOPIC, Lane
from manyheads.topics.telemetry import OK

_RECEIVE = tracing.message_span(tracing.RECEIVE, REPLIES_TOPIC)
_RECEIVED = tracing.message_attributes(tracing.RECEIVE, REPLIES_TOPIC)


class SendSpan:
    """The span of one dispatch."""

    __slots__ = ("_attributes", "_span", "_tracer")

    def __init__(self, tracer: Tracer, span: Span, attributes: dict[str, str]) -> None:
        self._tracer = tracer
        self._span = span
        self._attributes = attributes

    @classmethod
    def begin(cls, dispatch: Dispatch, lane: Lane) -> "SendSpan | None":
        """The dispatch is about to be sent; None if its trace is not sampled, or nobody takes spans.

        Its parent is the trace in its headers, which its caller named, else the active span; the headers carry it on.
        """
        provider = get_tracer_provider()
        named = any(name == TRACEPARENT for name, _ in dispatch.headers)
        if isinstance(provider, ProxyTracerProvider):
            # The application has set none. Its context may come from elsewhere, such as a request that it answers.
            if not named:
                _carry(dispatch, get_current_span())
            return None
        first = dispatch.calls[0]
        where = {tracing.RING: first.ring, tracing.LANE: lane.value}
        tracer = _tracer(provider)
        span = tracer.start_span(
            tracing.message_span(tracing.SEND, dispatch.topic),
            context_of(*trace_in(dispatch.headers)) if named else None,
            SpanKind.PRODUCER,
            tracing.message_attributes(tracing.SEND, dispatch.topic) | where,
        )
        _carry(dispatch, span)
        if not span.is_recording():
            return None
        if len(dispatch.calls) == 1:
            span.set_attributes(_of(first))
        return cls(tracer, span, where)

    def end(self, outcome: str = OK) -> None:
        """The broker has it; or it ends with an error code before that. Only the first time counts."""
        if self._span.is_recording():
            _end(self._span, outcome)

    def received(self, call: Call, outcome: str, headers: Headers) -> None:
        """A call of the dispatch has its outcome; ``headers`` are those of the reply, none if there was no reply."""
        own, replied = set_span_in_context(self._span, Context()), context_of(*trace_in(headers))
        span = self._tracer.start_span(
            _RECEIVE,
            replied if _trace_id(replied) == _trace_id(own) else own,
            SpanKind.CONSUMER,
            _RECEIVED | self._attributes | _of(call),
        )
        _end(span, outcome)


@lru_cache(maxsize=8)
def _tracer(provider: TracerProvider) -> Tracer:
    return provider.get_tracer(tracing.SCOPE, schema_url=tracing.SCHEMA_URL)


def _carry(dispatch: Dispatch, span: Span) -> None:
    """Make ``span`` the sender of the dispatch, if it is one."""
    if span.get_span_context().is_valid:
        others = (header for header in dispatch.headers if header[0] not in (TRACEPARENT, TRACESTATE))
        dispatch.headers = (*others, *trace_headers(*trace_of(span)))


def _of(call: Call) -> dict[str, str]:
    return {tracing.TENANT: call.tenant, tracing.CONVERSATION: call.correlation_id.hex()}


def _trace_id(context: Context) -> int:
    return get_current_span(context).get_span_context().trace_id


def _end(span: Span, outcome: str) -> None:
    if outcome != OK:
        span.set_status(StatusCode.ERROR)
        span.set_attribute(tracing.ERROR_TYPE, outcome)
    span.end()
