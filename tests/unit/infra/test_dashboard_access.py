"""Who may look at the dashboard."""

import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from manyheads.infra.dashboard.access import COOKIE, AccessMiddleware, AccessPolicy, Verdict, Visit
from manyheads.infra.dashboard.settings import DashboardSettings, is_loopback
from manyheads.infra.settings import load_settings
from manyheads.topics.errors import InvalidSettings

TOKEN = "a token of sixteen and more"
OPEN, CLOSED = AccessPolicy(None), AccessPolicy(SecretStr(TOKEN))


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "127.0.0.5", "[::1]:8080", "LOCALHOST"])
def test_without_a_token_this_machine_may_look(host: str) -> None:
    assert OPEN.judge(Visit(host)) is Verdict.ALLOWED


@pytest.mark.parametrize("host", ["evil.example:8080", "10.0.0.3:8080", "", "localhost.evil.example", "[::1", "a@b:1"])
def test_without_a_token_other_names_are_refused(host: str) -> None:
    assert OPEN.judge(Visit(host)) is Verdict.FOREIGN_NAME


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9999", "http://localhost"])
@pytest.mark.parametrize("policy", [OPEN, CLOSED])
def test_a_page_of_somebody_else_is_refused(policy: AccessPolicy, origin: str) -> None:
    visit = Visit("localhost:8080", origin=origin, bearer=TOKEN)
    assert policy.judge(visit) is Verdict.FOREIGN_PAGE


@pytest.mark.parametrize(
    ("visit", "verdict"),
    [
        (Visit("any.name", bearer=TOKEN), Verdict.ALLOWED),
        (Visit("any.name", cookie=CLOSED.cookie), Verdict.ALLOWED),
        (Visit("localhost:8080", origin="http://localhost:8080", bearer=TOKEN), Verdict.ALLOWED),
        (Visit("localhost:8080"), Verdict.NOT_LOGGED_IN),
        (Visit("localhost:8080", bearer=TOKEN[:-1]), Verdict.NOT_LOGGED_IN),
        (Visit("localhost:8080", bearer="ü"), Verdict.NOT_LOGGED_IN),
        (Visit("localhost:8080", cookie=TOKEN), Verdict.NOT_LOGGED_IN),
    ],
)
def test_with_a_token_everybody_needs_it(visit: Visit, verdict: Verdict) -> None:
    assert CLOSED.judge(visit) is verdict


def browser(policy: AccessPolicy) -> TestClient:
    web = AccessMiddleware(PlainTextResponse("the page"), policy)
    return TestClient(web, base_url="http://localhost:8080", follow_redirects=False)


def test_a_link_with_the_token_logs_in_and_hides_it() -> None:
    visitor = browser(CLOSED)
    answer = visitor.get("/lag", params={"token": TOKEN, "a": "b"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/lag?a=b")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert TOKEN not in answer.headers["set-cookie"]
    assert visitor.get("/lag").text == "the page"


def test_the_login_form() -> None:
    visitor = browser(CLOSED)
    assert visitor.get("/").status_code == 401
    wrong = visitor.post("/login", data={"token": "something else altogether"})
    assert (wrong.status_code, COOKIE in visitor.cookies) == (401, False)
    assert "not the token" in wrong.text
    assert visitor.post("/login", data={"token": TOKEN}).headers["location"] == "/"
    assert visitor.get("/").text == "the page"


def test_a_login_leads_to_no_other_host() -> None:
    answer = browser(CLOSED).get("http://localhost:8080//evil.example/", params={"token": TOKEN})
    assert answer.headers["location"] == "/evil.example/"


def test_health_is_open_and_everything_has_its_headers() -> None:
    visitor = browser(CLOSED)
    assert visitor.get("/healthz").text == "ok\n"
    for path in ("/healthz", "/"):
        headers = visitor.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"


def test_a_web_socket_needs_the_token_too() -> None:
    with pytest.raises(WebSocketDisconnect), browser(CLOSED).websocket_connect("/_nicegui_ws/socket.io"):
        pass


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("vm", False)])
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    settings = load_settings(DashboardSettings, dashboard_host=host).with_token()
    assert (settings.dashboard_token is None) is loopback


def test_a_token_is_random_unless_given_and_never_shown() -> None:
    found = {load_settings(DashboardSettings, dashboard_host="0.0.0.0").with_token().dashboard_token for _ in range(3)}
    assert len({token.get_secret_value() for token in found if token is not None}) == 3
    given = load_settings(DashboardSettings, dashboard_host="0.0.0.0", dashboard_token=TOKEN).with_token()
    assert given.dashboard_token == SecretStr(TOKEN)
    assert TOKEN not in repr(given)
    with pytest.raises(InvalidSettings, match="MANYHEADS_DASHBOARD_TOKEN"):
        load_settings(DashboardSettings, dashboard_token="short")
