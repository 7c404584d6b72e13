"""A dashboard in a process of its own, and a browser that looks at it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from manyheads.infra.settings import KafkaSettings

WIDTHS = (1280, 390)


# No wider than its module: while Playwright's blocking interface is open, its event loop counts as running in this
# thread, and no asynchronous test anywhere could have one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. A machine without it may skip; the continuous integration may not."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail("no Chromium: apt-get install chromium")
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, serve_dashboard: object) -> Iterator[Page]:
    """A page on which nothing may go wrong and nothing may come from elsewhere; it is closed before the dashboard."""
    wrong: list[str] = []
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request", lambda sent: None if "127.0.0.1" in sent.url or "data:" in sent.url else wrong.append(sent.url)
    )
    yield opened
    opened.close()
    assert wrong == []


@pytest.fixture
def serve_dashboard() -> Iterator[Callable[[KafkaSettings], str]]:
    """Call it with a Kafka to have its dashboard; the URL. It must end well on SIGTERM."""
    running: list[subprocess.Popen[str]] = []

    def serve(kafka: KafkaSettings) -> str:
        program = "import sys; from manyheads.cli import main; sys.exit(main())"
        arguments = ["dashboard", "-b", kafka.bootstrap_servers, "--port", "0"]
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        running.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                return found[0]
        raise AssertionError("the dashboard did not start")

    yield serve
    for process in running:
        process.terminate()
    for process in running:
        process.communicate(timeout=20)  # what it says last must not block it
    assert [process.returncode for process in running] == [143] * len(running)
