"""From what the brokers say to what it means: states, ages, rates. Pure; remembers the samples of the window."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manyheads.infra.kafka.records import TopicPartition
from manyheads.infra.lag import words
from manyheads.infra.lag.bounds import Bounds, Unreadable
from manyheads.infra.lag.groups import GroupReading
from manyheads.infra.lag.history import History, longest
from manyheads.infra.lag.judge import NOTHING_COMMITTED, Rules, Sample, judge
from manyheads.infra.lag.measure import Round, position, start_of
from manyheads.infra.lag.model import DeadLetters, GroupLag, LagSnapshot, LagState, PartitionLag


@dataclass(frozen=True, slots=True)
class _Now:
    """When the round was."""

    monotonic_s: float
    wall_s: float


class Assessor:
    """Turns rounds into snapshots."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._histories: dict[tuple[str, TopicPartition], History] = {}
        self._dead_letters: dict[str, deque[tuple[float, int]]] = {}

    def forget(self) -> None:
        """Begin anew: nobody watched for a while."""
        self._histories.clear()
        self._dead_letters.clear()

    def assess(self, measured: Round, monotonic_s: float, wall_s: float) -> LagSnapshot:
        """What a round means, with those before it."""
        now = _Now(monotonic_s, wall_s)
        histories = self._histories
        # What is not there any more is forgotten.
        self._histories = {}
        groups = tuple(self._group(group, measured, now, histories) for group in measured.groups)
        return LagSnapshot(round(wall_s * 1_000), None, groups, self._dead(measured, now))

    def _group(
        self,
        group: GroupReading,
        measured: Round,
        now: _Now,
        histories: Mapping[tuple[str, TopicPartition], History],
    ) -> GroupLag:
        partitions: tuple[PartitionLag, ...] = ()
        if group.problem is None:
            partitions = tuple(
                self._partition(group, at, measured, now, histories.get((group.name, at)))
                for at in measured.partitions[group.name]
            )
        state = _worst([each.state for each in partitions]) if group.problem is None else LagState.ERR
        stage = measured.stages.get(group.name)
        return GroupLag(
            group=group.name,
            ring=stage.ring if stage else None,
            cell=stage.cell if stage else None,
            stage=stage.stage if stage else None,
            lane=stage.lane if stage else None,
            members=group.members,
            kafka_state=group.state,
            state=state,
            sentence=group.problem or words.group_sentence(state, partitions),
            lag=sum(each.lag or 0 for each in partitions),
            oldest_age_s=max((each.oldest_age_s for each in partitions if each.oldest_age_s is not None), default=None),
            arrival_rate=_sum([each.arrival_rate for each in partitions]),
            completion_rate=_sum([each.completion_rate for each in partitions]),
            eta_s=longest([each.eta_s for each in partitions if each.lag is not None]),
            partitions=partitions,
        )

    def _partition(
        self, group: GroupReading, at: TopicPartition, measured: Round, now: _Now, history: History | None
    ) -> PartitionLag:
        bound = measured.bounds[at]
        committed = group.committed.get(at)
        member = group.owners.get(at)
        if isinstance(bound, Unreadable):
            unknown = (None,) * 7
            return PartitionLag(*at, committed, *unknown, LagState.ERR, bound.why, member)
        backlog = measured.backlogs[at, position(group, at, bound)]
        lag = backlog.size(bound.end)
        history = history or History(self._rules)
        self._histories[group.name, at] = history
        offset = NOTHING_COMMITTED if committed is None else committed
        history.add(Sample(now.monotonic_s, offset, bound.end, lag, member is not None))
        pace = history.pace()
        state, sentence = _impossible(committed, history.vanished if lag else None, bound)
        if state is None:
            state = judge(history.window, self._rules)
            sentence = words.partition_sentence(state, history.window, pace, member)
        age_s = None if backlog.oldest_ms is None else max(0.0, now.wall_s - backlog.oldest_ms / 1_000)
        return PartitionLag(
            topic=at.topic,
            partition=at.partition,
            committed=committed,
            start=bound.start,
            end=bound.end,
            lag=lag,
            oldest_age_s=age_s if lag else 0.0,
            arrival_rate=pace.arrival_rate,
            completion_rate=pace.completion_rate,
            eta_s=pace.eta_s,
            state=state,
            sentence=sentence,
            member=member,
        )

    def _dead(self, measured: Round, now: _Now) -> tuple[DeadLetters, ...]:
        counts: dict[str, deque[tuple[float, int]]] = {}
        found = []
        for topic, partitions in sorted(measured.dead_letters.items()):
            known = {at: bound for at in partitions if isinstance(bound := measured.bounds[at], Bounds)}
            if not known:
                continue
            count = sum(measured.backlogs[at, start_of(bound)].size(bound.end) for at, bound in known.items())
            written = sum(bound.end for bound in known.values())
            samples = self._dead_letters.get(topic, deque(maxlen=self._rules.intervals))
            samples.append((now.monotonic_s, written))
            counts[topic] = samples
            newest = [ms for at in known if (ms := measured.newest_ms.get(at)) is not None]
            found.append(DeadLetters(topic, count, _rate(samples), max(newest, default=None)))
        self._dead_letters = counts
        return tuple(found)


def _impossible(committed: int | None, vanished: int | None, bound: Bounds) -> tuple[LagState | None, str]:
    """ERR for a committed offset that is gone, or is not in the log."""
    if vanished is not None:
        return LagState.ERR, words.vanished_sentence(vanished)
    if committed is not None and committed < bound.start:
        return LagState.ERR, words.expired_sentence(committed, bound.start)
    if committed is not None and committed > bound.end:
        return LagState.ERR, words.beyond_sentence(committed, bound.end)
    return None, ""


def _worst(states: Sequence[LagState]) -> LagState:
    return max(states, key=lambda state: state.severity, default=LagState.OK)


def _sum(rates: Sequence[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _rate(samples: Sequence[tuple[float, int]]) -> float | None:
    (begin, before), (end, after) = samples[0], samples[-1]
    return max(0, after - before) / (end - begin) if end > begin else None
