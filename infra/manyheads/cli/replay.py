"""``replay``: a head over a tenant's retained embeddings, against what was answered then."""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, time_ns

from manyheads.cli.catalogue import find_ring, read_registry
from manyheads.cli.moments import moment_ms
from manyheads.cli.replay_report import ReplayReport, Window, show_report
from manyheads.cli.settings import kafka_settings, model_store
from manyheads.cli.steps import console, counting
from manyheads.head_worker import Head
from manyheads.head_worker.head import HEAD_FILE
from manyheads.head_worker.replay import Answering, Comparison, Matching, Past, Unread
from manyheads.infra.kafka.history import History, Stretch
from manyheads.infra.kafka.records import Record, TopicPartition
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store import ModelStore
from manyheads.topics.errors import ArtifactError, BrokerError, ErrorCode, InvalidRequest, RoutingError
from manyheads.topics.names import Lane, embeddings_topic
from manyheads.topics.names import ring as ring_name
from manyheads.topics.names import tenant as tenant_name
from manyheads.topics.partitions import partition_of, tenant_keys
from manyheads.topics.registry import PlacementRecord

_CLOCKS_MS = 60_000
"""how far the clocks of two workers may differ: a reply's timestamp may be that much before its embedding's"""

_BATCH = 100
"""embeddings that one thread answers at a time"""
_AHEAD = 8
"""such batches that may wait for a thread"""

Told = Callable[[int], object]
Outcomes = list[Past | Unread]


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to replay."""

    tenant: str
    head: str
    """a registered version, or a head's file, or a folder with one"""
    ring: str
    since: str
    until: str | None
    limit: int | None
    examples: int
    threads: int | None = None
    """None: one for each core"""


def run_replay(request: ReplayRequest, bootstrap_servers: str | None, store_url: str | None, *, as_json: bool) -> None:
    """Replay and show what would have been answered otherwise. Raises ManyheadsError."""
    report = replay(request, kafka_settings(bootstrap_servers), model_store(store_url))
    show_report(report, as_json=as_json)


def replay(request: ReplayRequest, settings: KafkaSettings, store: ModelStore) -> ReplayReport:
    """Read the tenant's embeddings, run the head, compare with the replies.

    Nothing is written to Kafka, and no consumer group is joined.

    Raises:
        InvalidRequest: the span of time cannot be read, or is empty.
        RoutingError: unknown_ring, unknown_tenant, or no_active_head if neither a version nor a file is named so.
        ArtifactError: the head's file is missing or damaged.
        BrokerError: Kafka cannot be reached, or lacks the topics.
    """
    began, now_ms = perf_counter(), time_ns() // 1_000_000
    since_ms = moment_ms(request.since, now_ms)
    until_ms = None if request.until is None else moment_ms(request.until, now_ms)
    if since_ms >= (now_ms if until_ms is None else until_ms):
        raise InvalidRequest(ErrorCode.INVALID_ARGUMENT, "--since is not before --until, so nothing lies between them")
    snapshot = read_registry(settings)
    placement = _placement(snapshot, request)
    file = head_file(snapshot, placement, request.head, store)
    heads = [Head.load(file) for _ in range(request.threads or len(os.sched_getaffinity(0)))]
    answering = Answering(placement.tenant, heads)
    comparison = Comparison(request.examples)
    matching = Matching(comparison)
    with History(settings) as history:
        stretches = _stretches(history, placement, since_ms, until_ms)
        embeddings = _Embeddings(history, answering, len(heads), request.limit)
        with counting(console(stderr=True), "embeddings", sum(each.records for each in stretches)) as tell:
            for outcomes in embeddings.outcomes(stretches, tenant_keys(placement.tenant, placement.spread), tell):
                matching.replayed(outcomes)
        window = _window(since_ms, until_ms or now_ms, stretches, history.first_ms)
        if embeddings.oldest_ms is not None:
            _match(history, matching, max(0, embeddings.oldest_ms - _CLOCKS_MS))
    return ReplayReport(
        tenant=placement.tenant,
        ring=placement.ring,
        head=request.head,
        reads=f"{heads[0].card.view} of {heads[0].card.space}",
        window=window,
        transient=placement.transient,
        coverage=matching.coverage,
        comparison=comparison.report(),
        runs=answering.runs,
        seconds=perf_counter() - began,
    )


def head_file(snapshot: RegistrySnapshot, placement: PlacementRecord, named: str, store: ModelStore) -> Path:
    """The file of the head that is meant: a registered version of the tenant, else a file, or a folder with one.

    Raises:
        RoutingError: no_active_head if it is none of these; the message names the versions that there are.
        ArtifactError: the version's file is missing or damaged in the store.
    """
    heads = {head.version: head for head in snapshot.heads(placement.ring) if head.tenant == placement.tenant}
    for version, head in heads.items():
        if version == named:
            return store.fetch(head.artifact)
    path = Path(named)
    if path.is_dir():
        path /= HEAD_FILE
    if path.is_file():
        return path
    if path.name != named:
        raise ArtifactError(ErrorCode.ARTIFACT_MISSING, f"there is no head's file {path}", file=path.name)
    raise RoutingError(
        ErrorCode.NO_ACTIVE_HEAD,
        f"tenant {placement.tenant} has no head {named} in ring {placement.ring}, and there is no file of that name; "
        f"registered are {', '.join(heads) or 'none'}",
        ring=placement.ring,
        tenant=placement.tenant,
        head=named,
    )


def _placement(snapshot: RegistrySnapshot, request: ReplayRequest) -> PlacementRecord:
    ring, tenant = ring_name(request.ring), tenant_name(request.tenant)
    find_ring(snapshot, ring)
    placement = snapshot.placement(ring, tenant)
    if placement is None:
        raise RoutingError(
            ErrorCode.UNKNOWN_TENANT,
            f"tenant {tenant} has no placement in ring {ring}, so its embeddings are not known; see manyheads tenants "
            "list",
            ring=ring,
            tenant=tenant,
        )
    return placement


def _stretches(history: History, placement: PlacementRecord, since_ms: int, until_ms: int | None) -> list[Stretch]:
    """The parts of the tenant's partitions, of both lanes, that lie in the span of time."""
    found: list[Stretch] = []
    for lane in Lane:
        topic = embeddings_topic(placement.ring, placement.cell, lane)
        count = history.partitions(topic)
        if not count:
            raise BrokerError(
                ErrorCode.TOPICS_MISSING,
                f"Kafka has no topic {topic}; is this the right cluster? manyheads topics list shows what is missing",
                topic=topic,
            )
        mine = {partition_of(key, count) for key in tenant_keys(placement.tenant, placement.spread)}
        found += history.stretches(topic, mine, since_ms, until_ms)
    return found


def _window(
    since_ms: int, until_ms: int, stretches: Sequence[Stretch], first_ms: Mapping[TopicPartition, int]
) -> Window:
    """The span of time with what retention may have taken of it."""
    cut = [each for each in stretches if each.cut]
    # One that has no first record yet was not read as far, for the limit.
    later = [first_ms[each.at] for each in cut if first_ms.get(each.at, 0) > since_ms]
    emptied = dict.fromkeys(each.at.topic for each in cut if not each.records)
    return Window(since_ms, until_ms, max(later, default=None), tuple(emptied))


@dataclass(slots=True)
class _Embeddings:
    """The reading of the tenant's embeddings, with what was found on the way."""

    history: History
    answering: Answering
    threads: int
    limit: int | None
    oldest_ms: int | None = None
    """the timestamp of the first in time"""

    def outcomes(self, stretches: Sequence[Stretch], keys: Collection[bytes], tell: Told) -> Iterator[Outcomes]:
        """What the head says of them, while the next are read."""
        under_way: deque[Future[Outcomes]] = deque()
        with ThreadPoolExecutor(self.threads, "replay") as pool:
            try:
                for records in self._batches(stretches, keys, tell):
                    under_way.append(pool.submit(self.answering.answer, records))
                    if len(under_way) > self.threads + _AHEAD:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _batches(self, stretches: Sequence[Stretch], keys: Collection[bytes], tell: Told) -> Iterator[Sequence[Record]]:
        left, passed = self.limit, 0
        for portion in self.history.read(stretches, keys):
            passed += portion.passed
            tell(passed)
            records = portion.records[:left]
            for record in records:
                self.oldest_ms = min(self.oldest_ms or record.timestamp_ms, record.timestamp_ms)
            for first in range(0, len(records), _BATCH):
                yield records[first : first + _BATCH]
            if left is not None:
                left -= len(records)
                if left <= 0:
                    return


def _match(history: History, matching: Matching, since_ms: int) -> None:
    """Show the replies since then to ``matching``, until each embedding has its own or there are no more."""
    stretches: list[Stretch] = []
    for topic, numbers in matching.reply_partitions.items():
        count = history.partitions(topic)
        # A sender's own topic may be gone by now: its replies are.
        wanted = range(count) if numbers is None else [number for number in numbers if number < count]
        stretches += history.stretches(topic, wanted, since_ms)
    passed = 0
    with counting(console(stderr=True), "replies", sum(each.records for each in stretches)) as tell:
        for portion in history.read(stretches):
            passed += portion.passed
            tell(passed)
            for record in portion.records:
                matching.reply(record.topic, record.headers, record.value)
            if not matching.waiting:
                return
