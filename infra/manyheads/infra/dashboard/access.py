"""Who may look: a pure decision over what a browser presents, and the middleware that asks for it.

Without a token only this machine may connect, and only under a name of its own: a page elsewhere whose name was made
to point here (DNS rebinding) is refused. With a token every request carries it, as a bearer or as the cookie that the
login sets. Where a browser says which page a request comes from, that must be a page of ours.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import parse_qs, urlencode, urlsplit

from pydantic import SecretStr
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from manyheads.infra.dashboard.login import login_page
from manyheads.infra.dashboard.settings import is_loopback

HEALTH_PATH = "/healthz"
LOGIN_PATH = "/login"
COOKIE = "manyheads_dashboard"
_COOKIE_S = 30 * 86_400
_MAX_LOGIN_BYTES = 4_096
_POLICY_VIOLATION = 1008
# NiceGUI's pages hold inline scripts, and Vue compiles templates; nothing may come from anywhere else.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Verdict(Enum):
    """What becomes of a request."""

    ALLOWED = auto()
    FOREIGN_NAME = auto()
    """it is addressed to a name that is not this machine's"""
    FOREIGN_PAGE = auto()
    """a page of somebody else makes it"""
    NOT_LOGGED_IN = auto()


@dataclass(frozen=True, slots=True)
class Visit:
    """What a browser presents."""

    host: str
    """the Host header"""
    origin: str | None = None
    """the Origin header: where the page comes from that makes the request"""
    bearer: str | None = None
    """the token of the Authorization header"""
    cookie: str | None = None
    """the value of our cookie"""


class AccessPolicy:
    """Decides. Never shows the token."""

    def __init__(self, token: SecretStr | None) -> None:
        self._token = None if token is None else token.get_secret_value().encode()

    @property
    def cookie(self) -> str:
        """What the login's cookie holds: made from the token, and not the token itself."""
        assert self._token is not None
        return hmac.new(self._token, b"manyheads dashboard login", hashlib.sha256).hexdigest()

    def judge(self, visit: Visit) -> Verdict:
        """Whether the visit may go on."""
        if visit.origin is not None and urlsplit(visit.origin).netloc != visit.host:
            return Verdict.FOREIGN_PAGE
        if self._token is None:
            return Verdict.ALLOWED if is_loopback(_name(visit.host)) else Verdict.FOREIGN_NAME
        if self.is_token(visit.bearer) or _equal(visit.cookie, self.cookie.encode()):
            return Verdict.ALLOWED
        return Verdict.NOT_LOGGED_IN

    def is_token(self, given: str | None) -> bool:
        """Whether ``given`` is the token, in a time that does not tell how much of it is right."""
        return self._token is not None and _equal(given, self._token)


def _equal(given: str | None, wanted: bytes) -> bool:
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), wanted)


def _name(host: str) -> str:
    """A Host header without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class AccessMiddleware:
    """Asks the policy before anything else sees a request or a web socket; answers the login itself."""

    def __init__(self, app: ASGIApp, policy: AccessPolicy) -> None:
        self.app = app  # by this name NiceGUI finds its server
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        verdict = self._policy.judge(_visit(connection))
        if scope["type"] == "websocket":
            if verdict is Verdict.ALLOWED:
                await self.app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        answer = await self._answer(Request(scope, receive), verdict)
        await (answer or self.app)(scope, receive, send_with_headers)

    async def _answer(self, request: Request, verdict: Verdict) -> Response | None:
        """Our own answer; None where the application may give its."""
        if request.url.path == HEALTH_PATH:
            return PlainTextResponse("ok\n")
        match verdict:
            case Verdict.ALLOWED:
                return RedirectResponse("/", 303) if request.url.path == LOGIN_PATH else None
            case Verdict.FOREIGN_NAME:
                return PlainTextResponse(
                    f"Without a token this dashboard answers to localhost alone, not to {_name(_host(request))!r:.60}. "
                    "Set MANYHEADS_DASHBOARD_TOKEN to reach it under another name.\n",
                    403,
                )
            case Verdict.FOREIGN_PAGE:
                return PlainTextResponse("A page of another site may not read this dashboard.\n", 403)
            case Verdict.NOT_LOGGED_IN:
                return await self._login(request)

    async def _login(self, request: Request) -> Response:
        if request.url.path == LOGIN_PATH and request.method == "POST":
            given = await _posted_token(request)
            return self._logged_in(request, "/") if self._policy.is_token(given) else _refused(wrong=True)
        if "token" in request.query_params:
            if not self._policy.is_token(request.query_params["token"]):
                return _refused(wrong=True)
            others = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
            # Only a path of ours: two slashes would lead to another host.
            path = "/" + request.url.path.lstrip("/\\")
            return self._logged_in(request, f"{path}?{urlencode(others)}" if others else path)
        return _refused(wrong=False)

    def _logged_in(self, request: Request, target: str) -> Response:
        answer = RedirectResponse(target, 303)
        answer.set_cookie(
            COOKIE,
            self._policy.cookie,
            max_age=_COOKIE_S,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer


def _visit(connection: HTTPConnection) -> Visit:
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    return Visit(
        host=_host(connection),
        origin=connection.headers.get("origin"),
        bearer=credentials if scheme.lower() == "bearer" else None,
        cookie=connection.cookies.get(COOKIE),
    )


def _host(connection: HTTPConnection) -> str:
    return connection.headers.get("host", "")


async def _posted_token(request: Request) -> str | None:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_LOGIN_BYTES:
            return None
    return parse_qs(body.decode("utf-8", "replace")).get("token", [None])[0]


def _refused(*, wrong: bool) -> Response:
    return HTMLResponse(login_page(wrong=wrong), 401, {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"})
