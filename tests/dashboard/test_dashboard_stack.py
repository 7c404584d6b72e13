"""The dashboard of a running pipeline, in a real browser. The tests share the pipeline."""

import signal
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from manyheads.infra.dashboard import figures
from manyheads.topics.names import encoder_group, requests_topic
from manyheads.topics.partitions import partition_of, tenant_keys
from tests.conftest import TEST_PARTITIONS
from tests.dashboard.conftest import PATHS, PATIENCE_MS
from tests.dashboard.watched import FR, HEAD_WORKER, HEADS, PATIENCE_S, Watched, watched_pipeline
from tests.support.kafka import NewKafka
from tests.support.load import send, wait_until
from tests.support.stages import request

PARTITIONS = TEST_PARTITIONS.embeddings
SECRET = "nobody may read this before he asks for it"
BACKLOG = {0: 7, 1: 1_234}
"""records by partition that wait in ring ``fr``"""

# What the page says of every group, by the words that stand there.
_CARDS = """() => Object.fromEntries([...document.querySelectorAll('[data-group]')].map(card => [card.dataset.group, {
    state: card.querySelector('.chip').textContent,
    members: card.querySelector('.mono').textContent.split(' · ')[1].split(' ')[0],
    ...Object.fromEntries([...card.querySelectorAll('.fact')].map(
        fact => [fact.querySelector('.cellname').textContent, fact.querySelector('.value').textContent])),
    partitions: Object.fromEntries([...card.querySelectorAll('.cell')].map(
        cell => [cell.dataset.partition, cell.querySelector('.lag').textContent])),
}]))"""


@pytest.fixture(scope="module")
def watched(new_kafka: NewKafka) -> Iterator[Watched]:
    with watched_pipeline(new_kafka) as found:
        yield found


def card_of(page: Page, group: str) -> Locator:
    return page.locator(f'[data-group="{group}"]')


def on_the_page(page: Page) -> dict[str, Any]:
    """All groups, but for how long the oldest record waits: that does not stand still."""
    cards: dict[str, Any] = page.evaluate(_CARDS)
    for card in cards.values():
        del card["Oldest waits"]
    return cards


def of_the_exporter(watched: Watched) -> dict[str, Any]:
    """The same, made from the exporter's page."""
    found: dict[str, Any] = {}
    for sample in watched.metrics():
        labels, value = sample.labels, sample.value
        group = found.setdefault(labels.get("group", labels.get("consumergroup", "")), {"partitions": {}})
        match sample.name:
            case "manyheads_lag_state" if value:
                group["state"] = labels["state"]
            case "kafka_consumergroup_members":
                group["members"] = f"{value:.0f}"
            case "manyheads_lag_records":
                group["Lag"] = figures.count(value)
            case "manyheads_lag_arrivals_per_second":
                group["Arrive"] = figures.rate(value)
            case "manyheads_lag_completions_per_second":
                group["Done"] = figures.rate(value)
            case "manyheads_lag_eta_seconds":
                group["Caught up in"] = figures.eta(value)
            case "kafka_consumergroup_group_lag":
                group["partitions"][f"{labels['topic']}/{labels['partition']}"] = figures.short_count(value)
    found.pop("", None)  # metrics of no group
    return found


def test_the_page_says_what_the_exporter_says(page: Page, watched: Watched) -> None:
    topic, group = requests_topic(FR), encoder_group(FR)
    records = [
        request(topic, number, partition=partition) for partition, count in BACKLOG.items() for number in range(count)
    ]
    send(watched.settings, records)
    page.goto(watched.url + "/lag")
    expect(card_of(page, group).locator(".chip").first).to_have_text("STOP", timeout=PATIENCE_MS)
    differing: list[Any] = []

    def same() -> bool:
        shown, wanted = on_the_page(page), of_the_exporter(watched)
        differing[:] = [(name, shown.get(name), wanted.get(name)) for name in shown.keys() | wanted.keys()]
        differing[:] = [each for each in differing if each[1] != each[2]]
        Event().wait(0.2)
        return not differing

    try:
        wait_until(same)
    except AssertionError:
        pytest.fail(f"page and exporter differ: {differing}")
    shown = on_the_page(page)[group]
    assert (shown["state"], shown["Lag"], shown["Caught up in"]) == ("STOP", "1,241", "never")
    assert shown["partitions"] == {f"{topic}/0": "7", f"{topic}/1": "1.23k"}


def test_a_stalled_worker_turns_its_partition_red_and_recovery_turns_it_back(page: Page, watched: Watched) -> None:
    page.goto(watched.url + "/lag")
    card = card_of(page, HEADS)
    cells, state = card.locator(".cell"), card.locator(".chip").first
    expect(card.locator(".cell.OK")).to_have_count(PARTITIONS, timeout=PATIENCE_MS)
    expect(state).to_have_text("OK", timeout=PATIENCE_MS)

    watched.stack.workers.send_signal(HEAD_WORKER, signal.SIGSTOP)
    try:
        answers = watched.ask(*["where is my parcel"] * 5)
        red = cells.nth(partition_of(tenant_keys(watched.tenant)[0], PARTITIONS))
        expect(red).to_contain_class("STALL", timeout=PATIENCE_MS)
        expect(red).to_contain_text("STALL5")
        expect(state).to_have_text("STALL", timeout=PATIENCE_MS)
        expect(card.locator(".cell.OK")).to_have_count(PARTITIONS - 1)
        red.click()
        sheet = page.locator(".sheet dl")
        expect(sheet).to_contain_text("STALL", timeout=PATIENCE_MS)
        expect(sheet).to_contain_text("Committed")
        page.get_by_role("button", name="Close").click()
    finally:
        watched.stack.workers.send_signal(HEAD_WORKER, signal.SIGCONT)
    expect(card.locator(".cell.OK")).to_have_count(PARTITIONS, timeout=PATIENCE_MS)
    expect(state).to_have_text("OK", timeout=PATIENCE_MS)
    expect(red.locator(".lag")).to_have_text("0", timeout=PATIENCE_MS)
    assert all(result.unwrap() for result in answers.result(PATIENCE_S))


def test_a_tenant_is_found_and_has_a_page_with_its_figures(page: Page, watched: Watched) -> None:
    assert all(result.unwrap() for result in watched.ask("hello", "where is my parcel").result(PATIENCE_S))
    page.goto(watched.url + "/tenants")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(1, timeout=PATIENCE_MS)
    page.get_by_label("Search a tenant").fill("nobody of this name")
    expect(rows).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.get_by_text("No tenant's name has")).to_be_visible()
    page.get_by_label("Search a tenant").fill(watched.tenant[1:4].upper())
    expect(rows.locator('[data-name="Requests, 15 min"]')).to_have_text(f"{watched.asked}", timeout=PATIENCE_MS)
    expect(rows.locator(".spark")).to_have_count(1)

    rows.get_by_role("link", name=watched.tenant).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(watched.tenant, timeout=PATIENCE_MS)
    expect(page.locator(".tile").first).to_contain_text(f"{watched.asked} in 15 min", timeout=PATIENCE_MS)
    registered = page.locator("dl")
    expect(registered).to_contain_text("Active head", timeout=PATIENCE_MS)
    expect(registered).to_contain_text(f"{partition_of(tenant_keys(watched.tenant)[0], PARTITIONS)} (OK)")


def test_a_letters_text_comes_only_to_who_asks_for_it(page: Page, watched: Watched) -> None:
    sent: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sent.append(str(frame))))
    (refused,) = watched.ask(SECRET, tenant="somebody-else").result(PATIENCE_S)
    assert refused.error is not None
    page.goto(watched.url + "/letters")
    row = page.locator("tbody tr")
    expect(row).to_have_count(1, timeout=PATIENCE_MS)
    expect(row).to_contain_text("somebody-else")
    row.get_by_role("button", name="unknown_tenant").click()
    sheet = page.locator(".sheet")
    expect(sheet).to_contain_text("kafka_correlationId", timeout=PATIENCE_MS)
    assert sent
    assert SECRET not in page.content() + "".join(sent)

    page.get_by_role("button", name="Show its text").click()
    expect(sheet.locator(".textbox")).to_have_text(SECRET, timeout=PATIENCE_MS)


def test_workers_and_their_heads_are_shown(page: Page, watched: Watched) -> None:
    page.goto(watched.url + "/workers")
    heads = page.locator("tbody tr").filter(has_text="head-worker-1")
    expect(heads.locator(".chip")).to_have_text("ready", timeout=PATIENCE_MS)
    expect(heads.locator('[data-name="Partitions"]')).to_contain_text("interactive 0-3")
    expect(heads.locator('[data-name="Heads"]')).to_contain_text("1")


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_scrolls_sideways(page: Page, watched: Watched, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for path in (*PATHS, f"/tenants/en/{watched.tenant}"):
        page.goto(watched.url + path)
        expect(page.locator(".pulse")).to_have_text("live", timeout=PATIENCE_MS)
        sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert sideways == 0, path


def test_an_open_page_says_that_the_broker_is_gone_and_that_it_is_back(page: Page, watched: Watched) -> None:
    page.goto(watched.url)
    expect(page.locator(".pulse")).to_have_text("live", timeout=PATIENCE_MS)
    watched.kafka.kill()
    expect(page.locator(".pulse")).to_have_text("no broker", timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", level=1)).to_have_text("Kafka does not answer")
    watched.kafka.restart()
    expect(page.locator(".pulse")).to_have_text("live", timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", name="Ring en")).to_be_visible(timeout=PATIENCE_MS)
    assert all(result.unwrap() for result in watched.ask("hello again").result(PATIENCE_S))
