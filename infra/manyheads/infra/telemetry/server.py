"""The HTTP server of a process: ``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for whoever runs it."""

import json
from collections.abc import Callable, Iterable
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from manyheads.infra.telemetry.health import Health
from manyheads.topics.errors import ErrorCode, InvalidSettings

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer
    from wsgiref.types import StartResponse, WSGIApplication

    from prometheus_client import CollectorRegistry

_JSON = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))


class Registered(Protocol):
    """Metrics, in a registry of prometheus_client."""

    @property
    def registry(self) -> "CollectorRegistry": ...


class MetricsServer:
    """An HTTP server; a context manager."""

    def __init__(self, server: "WSGIServer", thread: Thread) -> None:
        self._server = server
        self._thread = thread

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop listening. Safe to call twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve_metrics(
    metrics: Registered, port: int, host: str = "127.0.0.1", health: Health | None = None
) -> MetricsServer:
    """Serve ``metrics``, and ``health`` where there is one, on ``host``; port 0 takes a free one.

    Loopback unless told otherwise: metrics name tenants' rings and loads, and have no password.

    Raises:
        InvalidSettings: the port is taken or out of range, or the host is none of this machine.
    """
    from prometheus_client import make_wsgi_app, start_http_server  # noqa: PLC0415 - SDK lacks it

    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except (OSError, OverflowError) as error:
        raise InvalidSettings(
            ErrorCode.INVALID_SETTINGS,
            f"metrics cannot be served on {host}:{port} ({error}); choose another metrics_port, or 0 for any free one, "
            "and a metrics_host of this machine",
            setting="metrics_port",
            port=port,
        ) from error
    pages: dict[str, WSGIApplication] = {"/metrics": make_wsgi_app(metrics.registry)}
    if health is not None:
        pages["/healthz"] = _page(health, health.live)
        pages["/readyz"] = _page(health, lambda: health.ready)
    # prometheus_client's server knows one page; its threads, its families of addresses and its silence are wanted.
    server.set_app(_paths(pages))
    return MetricsServer(server, thread)


def _paths(pages: "dict[str, WSGIApplication]") -> "WSGIApplication":
    def answer(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        page = pages.get(environ["PATH_INFO"])
        if page is not None:
            return page(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [f"there is {', '.join(pages)}\n".encode()]

    return answer


def _page(health: Health, is_well: Callable[[], bool]) -> "WSGIApplication":
    def answer(_environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK" if is_well() else "503 Service Unavailable", list(_JSON))
        return [json.dumps(health.as_json()).encode() + b"\n"]

    return answer
