"""The last snapshot as Prometheus metrics. They are made when they are asked for, so what is gone is not served."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from manyheads.infra.lag.model import DeadLetters, GroupLag, LagSnapshot, LagState, Member, PartitionLag
from manyheads.topics import lag_metrics as specs
from manyheads.topics.metrics import MetricSpec

_NOBODY = Member("", "", "")
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Measured:
    snapshot: LagSnapshot
    seconds: float


class LagMetrics(Collector):
    """Serves the snapshot that it was given last. Thread-safe: a scrape sees one snapshot."""

    def __init__(self, cluster_name: str) -> None:
        self._cluster = cluster_name
        self._measured: _Measured | None = None
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def update(self, snapshot: LagSnapshot, seconds: float) -> None:
        """Serve ``snapshot`` from now on; to measure it took ``seconds``."""
        self._measured = _Measured(snapshot, seconds)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """All families, without samples."""
        return [_family(spec) for spec in specs.ALL_LAG_METRICS]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The families that have samples."""
        measured = self._measured
        if measured is None:
            return
        families: dict[str, GaugeMetricFamily] = {}
        for spec, labels, value in self._samples(measured):
            if value is not None:
                family = families.get(spec.name)
                if family is None:
                    family = families[spec.name] = _family(spec)
                family.add_metric(labels, value)
        yield from families.values()

    def _samples(self, measured: _Measured) -> Iterator[tuple[MetricSpec, Labels, float | None]]:
        snapshot, cluster = measured.snapshot, (self._cluster,)
        yield specs.KAFKA_UP, cluster, snapshot.broker is None
        yield specs.ROUND_SECONDS, cluster, measured.seconds
        yield specs.MEASURED_AT, cluster, snapshot.at_ms / 1_000
        for group in snapshot.groups:
            yield from self._group(group)
            for partition in group.partitions:
                yield from self._partition(group.group, partition)
        yield from self._bounds(snapshot.groups)
        for letters in snapshot.dead_letters:
            yield from self._dead_letters(letters)

    def _group(self, group: GroupLag) -> Iterator[tuple[MetricSpec, Labels, float | None]]:
        named = (self._cluster, group.group)
        yield specs.GROUP_MAX_LAG, named, max((each.lag or 0 for each in group.partitions), default=0)
        yield specs.GROUP_MAX_LAG_SECONDS, named, group.oldest_age_s
        yield specs.GROUP_SUM_LAG, named, group.lag
        yield specs.MEMBERS, (group.group,), len(group.members)
        for topic, lag in _by_topic(group.partitions).items():
            yield specs.GROUP_TOPIC_SUM_LAG, (*named, topic), lag
            yield specs.LAG_SUM, (group.group, topic), lag
        ours = (*named, group.ring or "", group.cell or "", group.stage or "", group.lane or "")
        states = Counter(partition.state for partition in group.partitions)
        for state in LagState:
            yield specs.STATE, (*ours, state), group.state is state
            yield specs.PARTITIONS_IN_STATE, (*ours, state), states[state]
        yield specs.GROUP_RECORDS, ours, group.lag
        yield specs.OLDEST_SECONDS, ours, group.oldest_age_s
        yield specs.ETA_SECONDS, ours, group.eta_s
        yield specs.ARRIVAL_RATE, ours, group.arrival_rate
        yield specs.COMPLETION_RATE, ours, group.completion_rate

    def _partition(self, group: str, lag: PartitionLag) -> Iterator[tuple[MetricSpec, Labels, float | None]]:
        at = (lag.topic, str(lag.partition))
        member = lag.member or _NOBODY
        owned = (self._cluster, group, *at, member.host, member.id, member.client_id)
        yield specs.GROUP_OFFSET, owned, lag.committed
        yield specs.GROUP_LAG, owned, lag.lag
        yield specs.GROUP_LAG_SECONDS, owned, lag.oldest_age_s
        yield specs.CURRENT_OFFSET, (group, *at), lag.committed
        yield specs.LAG, (group, *at), lag.lag

    def _bounds(self, groups: Iterable[GroupLag]) -> Iterator[tuple[MetricSpec, Labels, float | None]]:
        # Several groups may consume a partition; its log is one.
        partitions = {(each.topic, each.partition): each for group in groups for each in group.partitions}
        for (topic, partition), lag in partitions.items():
            at = (self._cluster, topic, str(partition))
            yield specs.PARTITION_EARLIEST, at, lag.start
            yield specs.PARTITION_LATEST, at, lag.end

    def _dead_letters(self, letters: DeadLetters) -> Iterator[tuple[MetricSpec, Labels, float | None]]:
        topic = (self._cluster, letters.topic)
        yield specs.DEAD_LETTERS_KEPT, topic, letters.count
        yield specs.DEAD_LETTER_RATE, topic, letters.rate
        yield specs.DEAD_LETTER_NEWEST, topic, None if letters.newest_ms is None else letters.newest_ms / 1_000


def _family(spec: MetricSpec) -> GaugeMetricFamily:
    return GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)


def _by_topic(partitions: Iterable[PartitionLag]) -> Mapping[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for partition in partitions:
        sums[partition.topic] += partition.lag or 0
    return sums
