"""What the dashboard's pages say of a snapshot."""

import math
from dataclasses import replace

import pytest

from manyheads.infra.dashboard.history import SLOT_MS, SLOTS, LagHistory
from manyheads.infra.dashboard.model import Letter, Letters, Snapshot, Traffic
from manyheads.infra.dashboard.sparkline import Line
from manyheads.infra.dashboard.views.lag import lag_page
from manyheads.infra.dashboard.views.letters import find_letter, letters_page
from manyheads.infra.dashboard.views.measures import eta_lines
from manyheads.infra.dashboard.views.overview import overview
from manyheads.infra.dashboard.views.tenants import Order, tenant_page, tenants_page
from manyheads.infra.dashboard.views.verdict import notices, verdict
from manyheads.infra.dashboard.views.workers import ranges, workers_page
from manyheads.infra.lag.model import DeadLetters, GroupLag, LagSnapshot, LagState, PartitionLag, Stage
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.telemetry.aggregate import Latency, TenantFigures, WorkerStatus
from manyheads.topics.names import Lane, cell, head_group, ring
from manyheads.topics.names import tenant as tenant_name
from manyheads.topics.telemetry import LaneReport
from tests.golden.cases import ENCODER_REPORT
from tests.support.records import placement_record, ring_record

NOW = 1_700_000_000_000
EN, C0 = ring("en"), cell("c0")
NO_TRAFFIC = Traffic()


def partition(number: int, state: LagState = LagState.OK, lag: int | None = 0) -> PartitionLag:
    return PartitionLag(
        "nlu.en.c0.embeddings", number, 5, 0, 5 + (lag or 0), lag, 0.0, 1.0, 1.0, 0.0, state, "it waits"
    )


def group(*partitions: PartitionLag, eta_s: float | None = 0.0) -> GroupLag:
    worst = max((each.state for each in partitions), key=lambda state: state.severity)
    lag = sum(each.lag or 0 for each in partitions)
    return GroupLag(
        "nlu.en.c0.head", EN, C0, Stage.HEAD, Lane.INTERACTIVE, (), "Stable", worst, "records wait", lag,
        0.0, 1.0, 1.0, eta_s, partitions,
    )  # fmt: skip


def snapshot(*groups: GroupLag, broker: str | None = None, traffic: Traffic = NO_TRAFFIC) -> Snapshot:
    return Snapshot(NOW, LagSnapshot(NOW, broker, groups), traffic=traffic)


@pytest.mark.parametrize(
    ("shown", "headline"),
    [
        (snapshot(broker="no answer from Kafka"), "Kafka does not answer"),
        (snapshot(), "Nothing to watch yet"),
        (snapshot(group(partition(0))), "Keeping up"),
        (snapshot(group(partition(0, lag=500), eta_s=40.0)), "Catching up"),
        (snapshot(group(partition(0), partition(1, LagState.WARN, 9), eta_s=math.inf)), "Falling behind"),
        (snapshot(group(partition(0), partition(1, LagState.STALL, 9))), "Not keeping up"),
        (snapshot(group(partition(0), partition(1, LagState.ERR, None))), "Not keeping up"),
    ],
)
def test_the_verdict(shown: Snapshot, headline: str) -> None:
    found = verdict(shown)
    assert found.headline == headline
    assert found.sentence.endswith(".")
    assert overview(shown).verdict == found


def test_what_is_missing_is_said_once() -> None:
    assert notices(snapshot(broker="no answer")) == ()
    assert [each.what for each in notices(snapshot(group(partition(0))))] == [
        "No worker has reported in the last 15 minutes."
    ]
    unread = snapshot(group(partition(0)), traffic=Traffic(problem="Kafka has no topic nlu.telemetry"))
    assert [each.todo for each in notices(unread)] == ["Kafka has no topic nlu.telemetry."]


def test_a_stage_without_reports_shows_its_lag_and_dashes() -> None:
    (card,) = overview(snapshot(group(partition(0, LagState.STALL, 9), eta_s=math.inf))).rings
    (row,) = card.rows
    assert (row.name, row.state, row.eta.value, row.eta.note) == ("Heads c0", LagState.STALL, "never", "lag 9")
    assert (row.rate.value, row.latency.value) == ("–", "–")  # noqa: RUF001


def test_a_cell_says_its_state_in_words_too() -> None:
    page = lag_page(snapshot(group(partition(0, lag=12), partition(1, LagState.STALL, 1_234))))
    fine, stalled = page.groups[0].cells
    assert (fine.style, fine.number, fine.lag) == ("OK l2", "0", "12")
    assert (stalled.style, stalled.number, stalled.lag) == ("STALL", "1 STALL", "1.23k")
    assert stalled.told == "Partition 1: STALL, lag 1,234. it waits"
    assert dict(stalled.pairs)["Worker"] == "nobody"


def test_many_partitions_are_small_and_the_worst_are_kept() -> None:
    many = [partition(number, lag=number) for number in range(2_500)]
    many[7] = partition(7, LagState.STOP, 1)
    card = lag_page(snapshot(group(*many))).groups[0]
    assert card.dense
    assert len(card.cells) == 2_000
    assert {each.key[2] for each in card.cells} == {7, *range(501, 2_500)}
    assert card.left_out.startswith("500 more")


def test_history_keeps_the_worst_of_each_slot_and_forgets() -> None:
    history = LagHistory()
    for number, lag in enumerate([5, 900, 2]):
        history.add(replace(snapshot(group(partition(0, lag=lag))).lag, at_ms=NOW + number))
    past = history.past(NOW + SLOT_MS)["nlu.en.c0.head"]
    assert len(past.lag) == SLOTS
    assert past.lag[-2:] == (900, None)
    assert past.partitions["nlu.en.c0.embeddings", 0][-2:] == (3, None)
    history.add(LagSnapshot(NOW + SLOTS * SLOT_MS, None))
    assert history.past(NOW + SLOTS * SLOT_MS) == {}


def test_never_is_a_line_at_the_top() -> None:
    finite, never = eta_lines((None, 2.0, math.inf, 40.0))
    assert finite.points == [None, 2.0, None, 40.0]
    assert never.points == [None, None, 40.0, None]
    assert eta_lines((None, 2.0)) == (Line([None, 2.0]),)


def test_a_stage_is_idle_only_if_nothing_waited_in_the_fifteen_minutes() -> None:
    history = LagHistory()
    quiet = snapshot(group(partition(0)))
    for lag, idle in ((0, True), (3, False), (0, False)):
        now = snapshot(group(partition(0, lag=lag)))
        history.add(now.lag)
        (card,) = overview(replace(now, past=history.past(NOW))).rings
        assert card.rows[0].idle is idle
    (card,) = overview(quiet).rings
    assert card.rows[0].idle


def test_both_groups_of_a_lane_are_one_row_of_the_overview_and_two_cards_of_lag() -> None:
    name = head_group(EN, C0, Lane.INTERACTIVE, transient=True)
    transient = replace(group(partition(0, LagState.STALL, 9), eta_s=7.0), group=name)
    shown = snapshot(group(partition(0, lag=4), eta_s=2.0), transient)
    history = LagHistory()
    history.add(shown.lag)
    shown = replace(shown, past=history.past(NOW))
    ((row,),) = (card.rows for card in overview(shown).rings)
    assert (row.state, row.eta.value, row.eta.note) == (LagState.STALL, "7.0 s", "lag 13")
    assert row.eta.lines[0].points[-1] == 7.0
    assert [card.name for card in lag_page(shown).groups] == [
        "en · Heads c0 · interactive",
        "en · Heads c0 · interactive · transient",
    ]


def test_a_stage_that_is_not_well_says_why() -> None:
    (card,) = overview(snapshot(group(partition(0, LagState.STALL, 9)))).rings
    assert card.rows[0].sentence == "records wait"
    (card,) = overview(snapshot(group(partition(0)))).rings
    assert card.rows[0].sentence == ""


def test_dead_letters_by_reason() -> None:
    topic = "nlu.en.requests-dlt"
    read = tuple(
        Letter(topic, 0, offset, NOW - 1_000 * offset, code, "why", None, (), 9)
        for offset, code in enumerate(["internal", "unknown_tenant", "unknown_tenant"])
    )
    lag = LagSnapshot(NOW, None, (), (DeadLetters(topic, 7, 0.0, NOW - 4_000), DeadLetters("other-dlt", 0, 0.0, None)))
    shown = Snapshot(NOW, lag, letters=Letters(by_topic={topic: read}))
    page = letters_page(shown)
    assert [(each.code, each.number) for each in page.topics[0].reasons] == [("unknown_tenant", "2"), ("internal", "1")]
    assert page.topics[0].note == "newest 4 s ago · reasons of the newest 3"
    assert [row.when for row in page.rows] == ["just now", "just now", "2 s ago"]
    assert page.shown == "3 of 7"
    assert page.quiet_topics == "other-dlt"
    assert find_letter(shown, page.rows[2].key) == read[2]
    assert find_letter(shown, (topic, 0, 99)) is None


def tenant(name: str, requests: int, errors: int, p99: float | None) -> TenantFigures:
    return TenantFigures(
        "en", name, NOW, 900.0, requests, requests / 900, errors, 0.0, Latency(1 if p99 else 0, p99, p99, p99)
    )


@pytest.mark.parametrize(
    ("search", "order", "found"),
    [
        ("", Order.TRAFFIC, ["busy", "wrong", "slow"]),
        ("", Order.LATENCY, ["slow", "busy", "wrong"]),
        ("", Order.ERRORS, ["wrong", "busy", "slow"]),
        (" SLO ", Order.TRAFFIC, ["slow"]),
        ("nobody", Order.TRAFFIC, []),
    ],
)
def test_tenants_are_found_and_ordered(search: str, order: Order, found: list[str]) -> None:
    traffic = Traffic(tenants=(tenant("busy", 90, 0, 9.0), tenant("slow", 1, 0, 900.0), tenant("wrong", 9, 5, None)))
    page = tenants_page(snapshot(traffic=traffic), search, order, lambda ring, tenant: [len(tenant)])
    assert [row.key[1] for row in page.rows] == found
    assert [row.past.lines[0].points for row in page.rows] == [[len(name)] for name in found]
    if not found:
        assert "nobody" in page.empty


@pytest.mark.parametrize(("transient", "kept"), [(False, "kept"), (True, "transient")])
def test_a_tenants_page_says_whether_its_embeddings_are_kept(transient: bool, kept: str) -> None:
    placed = placement_record(EN, tenant_name("acme")).model_copy(update={"transient": transient})
    here = replace(snapshot(), registry=RegistrySnapshot([ring_record(EN), placed]))
    page = tenant_page(here, EN, placed.tenant, ())
    assert page.sentence == "Ring en; no request in the last 15 minutes."
    assert dict(page.pairs)["Embeddings"].startswith(kept)
    assert dict(page.pairs)["Cell"] == "c0"
    nobody = tenant_page(here, EN, tenant_name("nobody"), ())
    assert (nobody.pairs, "unknown_tenant" in nobody.sentence) == ((), True)


def test_partitions_in_few_characters() -> None:
    assert ranges([7, 0, 1, 2, 3, 9, 10]) == "0-3, 7, 9-10"
    assert ranges([]) == ""


def test_a_workers_inputs_are_told_apart() -> None:
    lanes = (
        LaneReport(lane=Lane.INTERACTIVE, topic="nlu.en.c0.embeddings", partitions=(0, 1)),
        LaneReport(lane=Lane.INTERACTIVE, topic="nlu.en.c0.embeddings.transient", partitions=(1,)),
        LaneReport(lane=Lane.BATCH, topic="nlu.en.c0.embeddings.transient.batch", partitions=(0,)),
        LaneReport(lane=Lane.BATCH, topic="nlu.en.c0.embeddings.batch"),
    )
    status = WorkerStatus(ENCODER_REPORT.model_copy(update={"lanes": lanes}), 0, lost=False)
    (row,) = workers_page(snapshot(traffic=Traffic(workers=(status,)))).rows
    assert row.partitions == "interactive 0-1\ninteractive transient 1\nbatch transient 0"
