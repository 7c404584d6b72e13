"""The trace that a request belongs to, where the application traces."""

import sys


def active_traceparent() -> str | None:
    """The W3C traceparent of the active OpenTelemetry span; None if there is none.

    OpenTelemetry is no dependency: an application that never imported it has no active span.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"
