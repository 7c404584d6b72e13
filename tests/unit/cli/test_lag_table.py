"""What people see of a lag snapshot, in narrow and in wide terminals, and what scripts read."""

import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from manyheads.cli.lag_table import snapshot_json, snapshot_view
from manyheads.infra.lag import DeadLetters, GroupLag, LagSnapshot, LagState, Member, PartitionLag, Stage
from manyheads.topics.names import Lane, ring

MEMBER = Member("m-1", "worker-1", "10.0.3.7")
TOPIC = "nlu.en.requests"
SLOW = PartitionLag(
    TOPIC, 0, 7, 2, 41_207, 41_200, 4.53, 250.7, 12.25, math.inf, LagState.WARN, "it does not shrink", MEMBER
)
FINE = PartitionLag(TOPIC, 1, 9, 0, 9, 0, 0.0, 0.0, 0.0, 0.0, LagState.OK, "caught up", MEMBER)
LEADERLESS = PartitionLag(
    TOPIC, 2, 5, None, None, None, None, None, None, None, LagState.ERR, "the partition has no leader"
)
UNWELL = GroupLag(
    "nlu.en.encoder", ring("en"), None, Stage.ENCODER, Lane.INTERACTIVE, (MEMBER,), "Stable", LagState.ERR,
    "1 of 3 partitions; nlu.en.requests-2: the partition has no leader",
    41_200, 4.53, 250.7, 12.25, math.inf, (SLOW, FINE, LEADERLESS),
)  # fmt: skip
WELL = GroupLag(
    "nlu.en.encoder.batch", ring("en"), None, Stage.ENCODER, Lane.BATCH, (), "Missing", LagState.OK,
    "caught up", 0, 0.0, 0.0, 0.0, 0.0, (replace(FINE, topic=f"{TOPIC}.batch", partition=0, member=None),),
)  # fmt: skip
LETTERS = (DeadLetters("nlu.en.requests-dlt", 1_204, 0.5, 1), DeadLetters("nlu.replies-dlt", 0, 0.0, None))
SNAPSHOT = LagSnapshot(1_700_000_000_000, None, (UNWELL, WELL), LETTERS)


def lines(snapshot: LagSnapshot, width: int = 200, *, partitions: bool = False, sampled: bool = True) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        console.print(snapshot_view(snapshot, partitions=partitions, sampled=sampled))
    shown = captured.get().splitlines()
    assert all(len(line) <= width for line in shown)
    return shown


def row(shown: list[str], name: str) -> list[str]:
    """The cells of the row that begins with ``name``."""
    (line,) = (line for line in shown if line.strip().startswith(f"{name} "))
    return line.split()


def text(shown: list[str]) -> str:
    return " ".join(" ".join(shown).split())


@pytest.mark.parametrize("width", [80, 200])
def test_a_line_for_each_group(width: int) -> None:
    shown = lines(SNAPSHOT, width)
    assert row(shown, "group") == ["group", "state", "lag", "oldest", "in/s", "done/s", "ETA", "members"]
    assert row(shown, "nlu.en.encoder") == ["nlu.en.encoder", "ERR", "41,200", "4.5", "s", "251", "12.2", "never", "1"]
    assert row(shown, "nlu.en.encoder.batch") == ["nlu.en.encoder.batch", "OK", "0", "-", "0", "0", "-", "0"]


@pytest.mark.parametrize("width", [80, 200])
def test_what_is_not_well_is_said_under_the_table(width: int) -> None:
    shown = text(lines(SNAPSHOT, width))
    assert f"ERR nlu.en.encoder: {UNWELL.sentence}" in shown
    assert "dead letters nlu.en.requests-dlt: 1,204, 0.5 a second" in shown
    assert "nlu.replies-dlt" not in shown, "it is empty"
    assert "2 groups, 41,200 waiting" in shown


@pytest.mark.parametrize("width", [80, 200])
def test_the_partitions_of_one_group(width: int) -> None:
    shown = lines(LagSnapshot(SNAPSHOT.at_ms, None, (UNWELL,)), width, partitions=True)
    assert row(shown, "nlu.en.requests-0") == [
        *("nlu.en.requests-0", "WARN", "41,200", "4.5", "s", "251", "12.2", "never")
    ]
    assert row(shown, "nlu.en.requests-1") == ["nlu.en.requests-1", "OK", "0", "-", "0", "0", "-"]
    assert row(shown, "nlu.en.requests-2") == ["nlu.en.requests-2", "ERR", "?", "?", "?", "?", "?"]
    said = text(shown)
    assert "WARN nlu.en.requests-0: it does not shrink" in said
    assert "ERR nlu.en.requests-2: the partition has no leader" in said
    assert "1 group, 41,200 waiting" in said


def test_a_long_name_is_folded_and_no_figure_is_cut() -> None:
    name = "nlu." + "a-very-long-name-of-a-ring" * 3 + ".encoder"
    shown = lines(LagSnapshot(SNAPSHOT.at_ms, None, (replace(UNWELL, group=name),)), 80)
    assert "41,200" in text(shown)
    assert "never" in text(shown)
    folded = "".join(line.split()[0] for line in shown if line.strip() and not line.startswith(("group", " ─", "─")))
    assert name in folded


def test_all_is_well_and_nothing_is_said() -> None:
    shown = lines(LagSnapshot(SNAPSHOT.at_ms, None, (WELL,)))
    assert len([line for line in shown if line.strip()]) == 4, "headings, a rule, the group, the footer"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (61.0, "61 s"), (120.0, "2 min"), (7_200.0, "2 h"), (10 * 86_400.0, "10 d")],
)
def test_ages_are_shown_in_the_unit_that_fits(seconds: float, shown: str) -> None:
    aged = replace(UNWELL, oldest_age_s=seconds, partitions=())
    assert shown in text(lines(LagSnapshot(SNAPSHOT.at_ms, None, (aged,))))


def test_one_sample_says_what_it_cannot_tell() -> None:
    assert "one sample has no rates" in text(lines(SNAPSHOT, sampled=False))
    assert "one sample has no rates" not in text(lines(SNAPSHOT))


def test_without_kafka_and_without_groups() -> None:
    away = text(lines(LagSnapshot(SNAPSHOT.at_ms, "no answer from Kafka at a:1"), 80))
    assert "Kafka is away" in away
    assert away.endswith("no answer from Kafka at a:1")
    assert text(lines(LagSnapshot(SNAPSHOT.at_ms, None), 80)) == "there is no such group"


def test_names_are_no_markup() -> None:
    sentence = "look at [/tmp] (worker-[1])"
    odd = replace(UNWELL, group="[red]group", sentence=sentence, partitions=(replace(SLOW, sentence=sentence),))
    for groups in ((odd,), (odd, odd)):
        for partitions in (False, True):
            shown = text(lines(LagSnapshot(SNAPSHOT.at_ms, None, groups), partitions=partitions))
            assert "[red]group" in shown
            assert sentence in shown


def test_json_has_every_figure_and_is_json() -> None:
    found = json.loads(json.dumps(snapshot_json(SNAPSHOT), allow_nan=False))
    assert (found["state"], found["broker"], found["at_ms"]) == ("ERR", None, SNAPSHOT.at_ms)
    group = found["groups"][0]
    assert (group["ring"], group["cell"], group["stage"], group["lane"]) == ("en", None, "encoder", "interactive")
    assert (group["state"], group["lag"], group["eta_s"]) == ("ERR", 41_200, "never")
    slow, _, leaderless = group["partitions"]
    assert (slow["eta_s"], slow["oldest_age_s"], slow["state"]) == ("never", 4.53, "WARN")
    assert slow["member"] == {"id": "m-1", "client_id": "worker-1", "host": "10.0.3.7"}
    assert (leaderless["lag"], leaderless["end"], leaderless["member"]) == (None, None, None)
    assert found["dead_letters"][0]["count"] == 1_204
