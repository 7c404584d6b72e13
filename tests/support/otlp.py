"""A collector of traces: takes OTLP over HTTP and remembers the spans."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ExportedSpan:
    """One span as a collector has it; ids are the hexadecimal digits of traceparents."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    """empty for a root"""
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    """trace and span"""
    started_ns: int
    ended_ns: int


class Collector:
    """The spans that came so far. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._spans: list[ExportedSpan] = []
        self.bodies: list[bytes] = []
        """all that came, as it came"""
        self.endpoint = ""
        """for ``OTEL_EXPORTER_OTLP_ENDPOINT``"""

    @property
    def spans(self) -> list[ExportedSpan]:
        """Those so far."""
        with self._lock:
            return list(self._spans)

    def take(self, body: bytes) -> None:
        """One export."""
        with self._lock:
            self.bodies.append(body)
            self._spans += _spans(ExportTraceServiceRequest.FromString(body))


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens on a free port of 127.0.0.1."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its superclass calls it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        collector.endpoint = f"http://127.0.0.1:{server.server_port}"
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _spans(request: ExportTraceServiceRequest) -> Iterator[ExportedSpan]:
    for resource in request.resource_spans:
        service = _values(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield ExportedSpan(
                    service=service,
                    name=span.name,
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    attributes=_values(span.attributes),
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    started_ns=span.start_time_unix_nano,
                    ended_ns=span.end_time_unix_nano,
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
