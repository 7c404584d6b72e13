"""A dashboard in a process of its own, and a browser that looks at it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from manyheads.infra.settings import KafkaSettings, load_settings
from tests.support.missing import program

PATHS = ("/", "/lag", "/tenants", "/workers", "/letters")
PATIENCE_MS = 60_000
NOWHERE = load_settings(KafkaSettings, bootstrap_servers="127.0.0.1:9")
"""where no Kafka is"""


@contextmanager
def running_dashboard(kafka: KafkaSettings, *arguments: str, **variables: str) -> Iterator[str]:
    """A dashboard of the Kafka, and its URL. It must end well on SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "manyheads.cli", "dashboard", "-b", kafka.bootstrap_servers, "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | variables | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        found = next((match for line in process.stdout if (match := re.search(r"http://[\w.]+:\d+", line))), None)
        assert found is not None, "the dashboard did not start"
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=60)  # what it says last must not block it
    assert process.returncode == 143


# No wider than its module: while Playwright's blocking interface is open, its event loop counts as running in this
# thread, and no asynchronous test anywhere could have one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    chromium = program("chromium", "chromium-browser", "google-chrome", advice="apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing may go wrong and nothing may come from elsewhere."""
    wrong: list[str] = []
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(PATIENCE_MS)
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request", lambda sent: None if "127.0.0.1" in sent.url or "data:" in sent.url else wrong.append(sent.url)
    )
    yield opened
    opened.close()
    assert wrong == []
