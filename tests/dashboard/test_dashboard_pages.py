"""The dashboard as its users see it: on a real Kafka, in a real browser."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.lag import LagMonitor
from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.topics.catalogue import ring_topics, shared_topics
from manyheads.topics.names import CellName, Lane, RingName, cell, embeddings_topic, head_group, ring
from tests.dashboard.conftest import WIDTHS
from tests.support.kafka import NewKafka
from tests.support.load import WorkerProcess, send
from tests.support.stages import request

PATHS = ("/", "/lag", "/tenants", "/workers", "/letters")
PATIENCE_MS = 20_000
COUNT = 40


@dataclass(frozen=True)
class HeadStage:
    """The only stage of a ring that anybody serves."""

    topic: str
    group: str
    process: subprocess.Popen[bytes]


@pytest.fixture
def heads(
    ring_with_topics: tuple[RingName, CellName], kafka_settings: KafkaSettings, tmp_path: Path
) -> Iterator[HeadStage]:
    topic, group = embeddings_topic(*ring_with_topics), head_group(*ring_with_topics)
    worker = WorkerProcess(kafka_settings, [(Lane.INTERACTIVE, topic, group)], tmp_path / "worker.log")
    worker.wait_until_ready()
    yield HeadStage(topic, group, worker.process)
    worker.process.send_signal(signal.SIGCONT)
    worker.close()


def sideways(page: Page) -> int:
    """How many pixels the page can be scrolled to the side."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_stalled_worker_turns_its_partitions_red_and_recovery_turns_them_back(
    page: Page,
    serve_dashboard: Callable[[KafkaSettings], str],
    heads: HeadStage,
    kafka_settings: KafkaSettings,
) -> None:
    page.goto(serve_dashboard(kafka_settings) + "/lag")
    card = page.locator(f'[data-group="{heads.group}"]')
    cells = card.locator(".cell")
    expect(cells).to_have_count(4, timeout=PATIENCE_MS)
    expect(card.locator(".cell.OK")).to_have_count(4, timeout=PATIENCE_MS)

    heads.process.send_signal(signal.SIGSTOP)
    send(kafka_settings, [request(heads.topic, number, reply_to="nlu.replies") for number in range(COUNT)])
    expect(card.locator(".chip").first).to_have_text(re.compile("STALL|STOP"), timeout=PATIENCE_MS)
    expect(card.locator(".cell.OK").filter(has_not_text=re.compile(r"\b0$"))).to_have_count(0, timeout=PATIENCE_MS)

    with LagMonitor(kafka_settings, re.compile(re.escape(heads.group))) as monitor:
        measured = {f"{at.topic}/{at.partition}": at.lag for at in monitor.poll().groups[0].partitions}
    assert sum(lag or 0 for lag in measured.values()) >= COUNT
    shown = {cell.get_attribute("data-partition"): int(cell.locator(".lag").inner_text()) for cell in cells.all()}
    assert shown == measured

    cells.first.click()
    expect(page.locator(".sheet dl")).to_contain_text("Committed")
    page.get_by_role("button", name="Close").click()

    heads.process.send_signal(signal.SIGCONT)
    expect(card.locator(".cell.OK")).to_have_count(4, timeout=60_000)
    expect(card.locator(".lag")).to_have_text(["0"] * 4, timeout=60_000)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_scrolls_sideways(
    page: Page,
    serve_dashboard: Callable[[KafkaSettings], str],
    ring_with_topics: tuple[RingName, CellName],
    kafka_settings: KafkaSettings,
    width: int,
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    url = serve_dashboard(kafka_settings)
    for path in PATHS:
        page.goto(url + path)
        expect(page.locator(".pulse")).to_have_text("live", timeout=PATIENCE_MS)
        assert sideways(page) == 0, path
    page.goto(url)
    expect(page.get_by_role("heading", name=f"Ring {ring_with_topics[0]}")).to_be_visible(timeout=PATIENCE_MS)


def test_topics_without_workers_are_told(
    page: Page, serve_dashboard: Callable[[KafkaSettings], str], new_kafka: NewKafka
) -> None:
    with new_kafka() as kafka:  # the one that all share has reports of other tests' workers
        with TopicAdmin(kafka.settings()) as admin:
            admin.ensure([*shared_topics(), *ring_topics(ring("en"), [cell("c0")])])
        page.goto(serve_dashboard(kafka.settings()))
        expect(page.locator(".notice")).to_contain_text("No worker has reported", timeout=PATIENCE_MS)


def test_without_a_broker_every_page_says_so(page: Page, serve_dashboard: Callable[[KafkaSettings], str]) -> None:
    url = serve_dashboard(load_settings(KafkaSettings, bootstrap_servers="127.0.0.1:9"))
    for path in PATHS:
        page.goto(url + path)
        expect(page.locator(".pulse")).to_have_text("no broker", timeout=PATIENCE_MS)
    page.goto(url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Kafka does not answer")
    expect(page.locator(".hero p")).to_contain_text("127.0.0.1:9")


def test_the_theme_follows_the_system_until_it_is_chosen(
    page: Page, serve_dashboard: Callable[[KafkaSettings], str]
) -> None:
    url = serve_dashboard(load_settings(KafkaSettings, bootstrap_servers="127.0.0.1:9"))
    page.emulate_media(color_scheme="dark")
    page.goto(url)
    expect(page.locator("body.body--dark")).to_be_visible()
    page.locator(".switch").click()
    expect(page.locator("body.body--light")).to_be_visible()
    page.goto(url + "/lag")
    expect(page.locator("body.body--light")).to_be_visible()
