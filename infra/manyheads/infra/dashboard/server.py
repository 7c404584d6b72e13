"""The web server: pages, style sheet and access, around one collector."""

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from nicegui import app as nicegui_app
from nicegui import ui
from pydantic import SecretStr

from manyheads.infra.dashboard.access import AccessMiddleware, AccessPolicy
from manyheads.infra.dashboard.collector import Collector
from manyheads.infra.dashboard.pages.frame import MARK, Board, Live, frame
from manyheads.infra.dashboard.pages.lag import LagBody
from manyheads.infra.dashboard.pages.letters import LettersBody
from manyheads.infra.dashboard.pages.overview import OverviewBody
from manyheads.infra.dashboard.pages.tenants import TenantBody, TenantsBody
from manyheads.infra.dashboard.pages.workers import WorkersBody
from manyheads.infra.dashboard.settings import DashboardSettings
from manyheads.infra.settings import KafkaSettings
from manyheads.topics import names
from manyheads.topics.errors import ErrorCode, InvalidRequest, InvalidSettings

_STYLE = "/theme.css"
_SHUTDOWN_S = 2
_TAKEN = (errno.EADDRINUSE, errno.EACCES)


def serve(settings: DashboardSettings, kafka: KafkaSettings, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, in the main thread; both are raised again once everything has ended.

    Args:
        settings: where, and the token.
        kafka: whose pipeline.
        ready: is told the URL, with the token if there is one, before the first request is taken.

    Raises:
        InvalidSettings: the port is taken, or the host is no address of this machine.
    """
    with closing(_listen(settings)) as listening, _server(kafka, settings.dashboard_token) as server:
        ready(_url(settings, listening.getsockname()[1]))
        server.run(sockets=[listening])


@contextmanager
def serving(settings: DashboardSettings, kafka: KafkaSettings) -> Iterator[str]:
    """Serve while the body runs, in a thread; the URL. Where the port is taken, on another one. Once in a process.

    Raises:
        InvalidSettings: the host is no address of this machine.
    """
    with closing(_listen(settings, or_any=True)) as listening, _server(kafka, settings.dashboard_token) as server:
        # Not a daemon: what it has open is closed before the interpreter goes.
        thread = threading.Thread(target=server.run, args=([listening],), name="dashboard")
        thread.start()
        try:
            yield _url(settings, listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _server(kafka: KafkaSettings, token: SecretStr | None) -> Iterator[uvicorn.Server]:
    """The server, with its collector running."""
    with Collector(kafka) as collector:
        web = AccessMiddleware(application(collector), AccessPolicy(token))
        yield uvicorn.Server(
            uvicorn.Config(
                web,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_SHUTDOWN_S,
            )
        )


def application(board: Board) -> FastAPI:
    """The pages. Once in a process: NiceGUI's routes are global."""
    nicegui_app.add_static_file(local_file=Path(__file__).with_name("theme.css"), url_path=_STYLE)
    ui.add_head_html(f'<link rel="stylesheet" href="{_STYLE}">', shared=True)
    _add_pages(board)
    web = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(
        web,
        title="manyheads",
        favicon=MARK,
        dark=None,
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=10.0,
    )
    return web


def _add_pages(board: Board) -> None:
    @ui.page("/", title="manyheads")
    def overview_page(request: Request) -> None:
        with frame(request, "/", board) as pulse:
            Live(board, pulse, OverviewBody().show).start()

    @ui.page("/lag", title="Lag · manyheads")
    def lag_page(request: Request) -> None:
        with frame(request, "/lag", board) as pulse:
            Live(board, pulse, LagBody().show).start()

    @ui.page("/tenants", title="Tenants · manyheads")
    def tenants_page(request: Request) -> None:
        with frame(request, "/tenants", board) as pulse:
            body = TenantsBody(lambda: live.refresh(again=True), board.tenant_requests)
            live = Live(board, pulse, body.show)
            live.start()

    @ui.page("/tenants/{ring}/{tenant}", title="Tenant · manyheads")
    def tenant_page(request: Request, ring: str, tenant: str) -> None:
        try:
            checked = names.ring(ring), names.tenant(tenant)
        except InvalidRequest as error:
            raise HTTPException(404, error.message) from error
        with frame(request, "/tenants", board) as pulse:
            Live(board, pulse, TenantBody(*checked, board.tenant_series).show).start()

    @ui.page("/workers", title="Workers · manyheads")
    def workers_page(request: Request) -> None:
        with frame(request, "/workers", board) as pulse:
            Live(board, pulse, WorkersBody().show).start()

    @ui.page("/letters", title="Dead letters · manyheads")
    def letters_page(request: Request) -> None:
        with frame(request, "/letters", board) as pulse:
            Live(board, pulse, LettersBody(board.read_text).show).start()


def _listen(settings: DashboardSettings, *, or_any: bool = False) -> socket.socket:
    """A socket that listens; ``or_any``: on a port that is free, if the one of the settings is not."""
    host, port = settings.dashboard_host.strip("[]"), settings.dashboard_port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        try:
            return socket.create_server((host, port), family=family)
        except OSError as error:
            if not or_any or error.errno not in _TAKEN:
                raise
            return socket.create_server((host, 0), family=family)
    except OSError as error:
        raise InvalidSettings(
            ErrorCode.INVALID_SETTINGS,
            f"the dashboard cannot listen on {host}:{port} ({error.strerror}); choose another MANYHEADS_DASHBOARD_PORT "
            "or MANYHEADS_DASHBOARD_HOST",
            host=host,
            port=port,
        ) from error


def _url(settings: DashboardSettings, port: int) -> str:
    host = settings.dashboard_host.strip("[]")
    if host in ("0.0.0.0", "::"):  # noqa: S104 - for people: where to find what listens everywhere
        host = "localhost"
    shown = f"[{host}]" if ":" in host else host
    token = settings.dashboard_token
    return f"http://{shown}:{port}/" + ("" if token is None else f"?token={token.get_secret_value()}")
