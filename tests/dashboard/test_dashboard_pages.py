"""The dashboard where no Kafka is: what it says, who may look, and how it looks."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.conftest import NOWHERE, PATHS, PATIENCE_MS, running_dashboard

TOKEN = "a-token-of-this-test"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_dashboard(NOWHERE) as found:
        yield found


def test_every_page_says_that_there_is_no_broker(page: Page, url: str) -> None:
    for path in PATHS:
        page.goto(url + path)
        expect(page.locator(".pulse")).to_have_text("no broker", timeout=PATIENCE_MS)
    page.goto(url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Kafka does not answer")
    expect(page.locator(".hero p")).to_contain_text("127.0.0.1:9")


def test_the_theme_follows_the_system_until_it_is_chosen(page: Page, url: str) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(url)
    expect(page.locator("body.body--dark")).to_be_visible(timeout=PATIENCE_MS)
    page.locator(".switch").click()
    expect(page.locator("body.body--light")).to_be_visible(timeout=PATIENCE_MS)
    page.goto(url + "/lag")
    expect(page.locator("body.body--light")).to_be_visible(timeout=PATIENCE_MS)


def test_off_loopback_a_browser_logs_in_once_with_the_token(browser: Browser) -> None:
    with running_dashboard(NOWHERE, "--host", "0.0.0.0", MANYHEADS_DASHBOARD_TOKEN=TOKEN) as url:
        visitor = browser.new_context()
        page = visitor.new_page()
        answer = page.goto(url + "/lag")
        assert answer is not None
        assert answer.status == 401
        expect(page.locator(".bar")).to_have_count(0)

        page.get_by_label("Token").fill("somebody's guess")
        page.get_by_role("button").click()
        expect(page.get_by_role("alert")).to_contain_text("not the token", timeout=PATIENCE_MS)
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button").click()
        expect(page.locator(".pulse")).to_have_text("no broker", timeout=PATIENCE_MS)  # and its web socket is let in
        page.goto(url + "/lag")
        expect(page.get_by_role("link", name="Lag")).to_have_attribute("aria-current", "page", timeout=PATIENCE_MS)
        visitor.close()

        stranger = browser.new_context()
        again = stranger.new_page().goto(url)
        assert again is not None
        assert again.status == 401
        stranger.close()
