"""From what the brokers said to states, ages, rates and sentences; and nothing is remembered for ever."""

import gc
import math
from collections.abc import Mapping, Sequence

import pytest

from manyheads.infra.kafka.records import TopicPartition
from manyheads.infra.lag.assess import Assessor
from manyheads.infra.lag.backlog import Backlog
from manyheads.infra.lag.bounds import Bounds, Unreadable
from manyheads.infra.lag.fetch import Place
from manyheads.infra.lag.groups import GroupReading
from manyheads.infra.lag.history import History
from manyheads.infra.lag.judge import Rules
from manyheads.infra.lag.measure import Round, position, start_of
from manyheads.infra.lag.model import GroupLag, LagState, Member
from manyheads.infra.lag.stages import expected_groups

WALL_S = 1_700_000_000.0
TOPIC, GROUP = "nlu.en.c0.embeddings", "nlu.en.c0.head"
P0, P1 = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
WORKER = Member("m-1", "head-1", "10.0.3.7")
RULES = Rules(intervals=4, patience_s=4)


def reading(committed: Mapping[TopicPartition, int], *owned: TopicPartition, name: str = GROUP) -> GroupReading:
    return GroupReading(name, "Stable", (WORKER,), dict.fromkeys(owned, WORKER), committed)


def measured(bounds: Mapping[TopicPartition, Bounds | Unreadable], *groups: GroupReading, aged_s: float = 0.0) -> Round:
    """Every group reads every partition; the oldest record that waits is ``aged_s`` old."""
    dead = {at.topic: [at] for at in bounds if at.topic.endswith("-dlt")}
    read = [at for at in bounds if at.topic not in dead]
    backlogs: dict[Place, Backlog] = {}
    for at, bound in bounds.items():
        places = {start_of(bound), *(position(group, at, bound) for group in groups)}
        oldest_ms = round((WALL_S - aged_s) * 1_000)
        backlogs |= {(at, start): Backlog(start, start, oldest_ms=oldest_ms) for start in places}
    return Round(
        groups=groups,
        stages=expected_groups([TOPIC]),
        partitions={group.name: tuple(read) for group in groups},
        bounds=bounds,
        backlogs=backlogs,
        dead_letters=dead,
        newest_ms={partitions[0]: 1_600_000_000_000 for partitions in dead.values()},
    )


def assessed(rounds: Sequence[Round], rules: Rules = RULES) -> list[GroupLag]:
    assessor = Assessor(rules)
    found = [assessor.assess(each, 2.0 * number, WALL_S) for number, each in enumerate(rounds)]
    return [group for snapshot in found for group in snapshot.groups]


def test_a_group_is_as_bad_as_its_worst_partition() -> None:
    rounds = [
        measured({P0: Bounds(0, 10 + 8 * n), P1: Bounds(0, 10)}, reading({P0: 4 * n, P1: 7}, P0, P1), aged_s=30)
        for n in range(4)
    ]
    group = assessed(rounds)[-1]
    warn, stall = group.partitions
    assert (warn.state, stall.state, group.state) == (LagState.WARN, LagState.STALL, LagState.STALL)
    assert (group.ring, group.cell, group.stage, group.lane) == ("en", "c0", "head", "interactive")
    assert (group.lag, warn.lag, stall.lag) == (25, 22, 3)
    assert (warn.arrival_rate, warn.completion_rate, warn.eta_s) == (4.0, 2.0, math.inf)
    assert (group.arrival_rate, group.completion_rate, group.eta_s, group.oldest_age_s) == (4.0, 2.0, math.inf, 30.0)
    assert warn.sentence == (
        "22 records wait, and that does not shrink: 4.0 arrive and 2.0 are done a second; add workers, or wait for the"
        " peak to pass"
    )
    assert stall.sentence == (
        "3 records wait, and nothing was committed for 6 s; look at the worker on 10.0.3.7 that has the partition"
        " (head-1, m-1)"
    )
    assert group.sentence == f"1 of 2 partitions; {TOPIC}-1: {stall.sentence}"


def test_nobody_there_and_nobody_yet() -> None:
    """A stall that no consumer has is a stop; before the first commit nobody was ever there."""
    stopped = assessed([measured({P0: Bounds(0, 10)}, GroupReading(GROUP, "Empty", committed={P0: 9}))] * 4)[-1]
    assert (
        stopped.sentence == f"its only partition; {TOPIC}-0: 1 record waits, and no consumer is there; start a worker"
    )
    never = assessed([measured({P0: Bounds(2, 10)}, GroupReading(GROUP, "Missing"))] * 4)[-1]
    assert (never.state, never.lag) == (LagState.STOP, 8)
    assert never.sentence.endswith("8 records wait, and no consumer was ever there; start a worker")


def test_a_rebalance_leaves_a_partition_without_a_consumer() -> None:
    moving = [measured({P0: Bounds(0, 99)}, reading({P0: n}, P0)) for n in range(3)]
    alone = [measured({P0: Bounds(0, 99)}, reading({P0: 2}))] * 2
    (lag,) = assessed([*moving, *alone], Rules(intervals=10, patience_s=4))[-1].partitions
    assert lag.state is LagState.STALL
    assert lag.sentence.endswith("no consumer has the partition: start a worker, or wait for the rebalance")


def test_a_rewind_names_both_offsets() -> None:
    rounds = [measured({P0: Bounds(0, 9_000)}, reading({P0: offset}, P0)) for offset in (8_000, 8_500, 1_200)]
    (lag,) = assessed(rounds)[-1].partitions
    assert lag.state is LagState.REWIND
    assert "went back from 8,500 to 1,200" in lag.sentence


@pytest.mark.parametrize(
    ("committed", "bounds", "lag", "sentence"),
    [
        (4, Bounds(5, 9), 4, "1 offset from 4 on was deleted before the group came there (the log begins at 5 now)"),
        (99, Bounds(0, 9), 0, "the committed offset 99 is beyond the end of the log, 9"),
        (4, Unreadable("the partition has no leader"), None, "the partition has no leader"),
    ],
)
def test_no_lag_can_be_told(committed: int, bounds: Bounds | Unreadable, lag: int | None, sentence: str) -> None:
    group = assessed([measured({P0: bounds}, reading({P0: committed}, P0))])[-1]
    (found,) = group.partitions
    assert (found.state, found.lag, found.committed, found.member) == (LagState.ERR, lag, committed, WORKER)
    assert sentence in found.sentence
    assert group.sentence == f"its only partition; {TOPIC}-0: {found.sentence}"


def test_an_offset_that_vanished() -> None:
    there, gone = (measured({P0: Bounds(0, 9)}, reading(committed, P0)) for committed in ({P0: 7}, {}))
    (lag,) = assessed([there, gone])[-1].partitions
    assert (lag.state, lag.lag) == (LagState.ERR, 9)
    assert lag.sentence.startswith("the committed offset 7 is gone")


def test_a_group_that_cannot_be_asked_shows_no_figures() -> None:
    group = assessed([measured({}, GroupReading(GROUP, "Stable", problem="its coordinator does not answer"))])[-1]
    assert (group.state, group.sentence, group.partitions) == (LagState.ERR, "its coordinator does not answer", ())
    assert (group.arrival_rate, group.oldest_age_s, group.eta_s) == (None, None, None)


def test_one_partition_that_cannot_be_read_leaves_the_others_figures() -> None:
    rounds = [measured({P0: Bounds(0, 9), P1: Unreadable("no leader")}, reading({P0: 9, P1: 3}, P0, P1))] * 2
    group = assessed(rounds)[-1]
    assert (group.state, group.lag, group.arrival_rate, group.eta_s) == (LagState.ERR, 0, 0.0, 0.0)


def test_a_record_from_the_future_is_no_negative_age() -> None:
    (lag,) = assessed([measured({P0: Bounds(0, 9)}, reading({P0: 3}, P0), aged_s=-60)])[-1].partitions
    assert lag.oldest_age_s == 0.0


def test_dead_letters() -> None:
    dlt = TopicPartition(f"{TOPIC}-dlt", 0)
    assessor = Assessor(RULES)
    first = assessor.assess(measured({dlt: Bounds(2, 10)}), 0, WALL_S).dead_letters[0]
    assert (first.topic, first.count, first.rate, first.newest_ms) == (dlt.topic, 8, None, 1_600_000_000_000)
    assert assessor.assess(measured({dlt: Bounds(2, 16)}), 2, WALL_S).dead_letters[0].rate == 3.0
    assert assessor.assess(measured({dlt: Unreadable("no leader")}), 4, WALL_S).dead_letters == ()
    assert assessor.assess(measured({dlt: Bounds(2, 16)}), 6, WALL_S).dead_letters[0].rate is None


def test_after_a_while_without_looking_it_begins_anew() -> None:
    assessor = Assessor(RULES)
    rounds = [measured({P0: Bounds(0, 9)}, reading({P0: 3}, P0))] * 4
    states = [assessor.assess(each, 2 * number, WALL_S).state for number, each in enumerate(rounds)]
    assert states[-1] is LagState.STALL
    assessor.forget()
    assert assessor.assess(rounds[0], 100, WALL_S).state is LagState.OK


def remembered() -> tuple[int, int]:
    """Histories that are in memory, and the samples in them."""
    gc.collect()
    histories = [each for each in gc.get_objects() if type(each) is History]
    return len(histories), sum(len(each.window) for each in histories)


def test_what_is_gone_is_forgotten_over_thousands_of_rounds() -> None:
    """Groups and topics come and go for an hour of rounds; what is kept is that of the last one."""
    assessor = Assessor(RULES)
    before = remembered()
    kept = []
    for number in range(2_000):
        at = TopicPartition(f"topic-{number // 2}", number % 3)
        dlt = TopicPartition(f"topic-{number // 2}-dlt", 0)
        groups = [reading({at: number}, at, name=f"group-{number // 2}-{each}") for each in range(3)]
        assessor.assess(measured({at: Bounds(0, number + 5), dlt: Bounds(0, number)}, *groups), 2 * number, WALL_S)
        if number % 500 == 499:
            histories, samples = remembered()
            kept.append((histories - before[0], samples - before[1]))
    assert kept == [(3, 3)] * 4


def test_a_window_stays_short_over_thousands_of_rounds() -> None:
    assessor = Assessor(RULES)
    before = remembered()
    for number in range(2_000):
        assessor.assess(measured({P0: Bounds(0, number + 5)}, reading({P0: number}, P0)), 2 * number, WALL_S)
    histories, samples = remembered()
    assert (histories - before[0], samples - before[1]) == (1, RULES.intervals)
