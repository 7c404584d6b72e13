"""A small pipeline, real in every part, and the dashboard and the lag exporter that look at it."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from queue import Queue
from threading import Event
from urllib.request import urlopen

from kafka.admin import ConfigResource, ConfigResourceType
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from manyheads.cli.ring_setup import RingSetup
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.admin.client import AdminClient
from manyheads.infra.lag.serve import serve_lag
from manyheads.infra.lag.settings import LagSettings
from manyheads.infra.local import LocalStack, encoder_worker, head_worker
from manyheads.infra.settings import KafkaSettings, load_settings
from manyheads.producers import Client, Result
from manyheads.topics.catalogue import ring_topics, shared_topics
from manyheads.topics.names import CellName, RingName, TenantName, cell, head_group, ring
from tests.broker.pipelines import SHOP, small_random
from tests.conftest import TEST_PARTITIONS
from tests.dashboard.conftest import running_dashboard
from tests.support.kafka import Kafka, NewKafka

EN, FR, C0 = ring("en"), ring("fr"), cell("c0")
HEADS = head_group(EN, C0)
HEAD_WORKER = 1
"""its number among the stack's workers"""
PATIENCE_S = 120.0
_SESSION_MS = 45_000


class _SmallStack(LocalStack):
    """With few partitions."""

    def create_topics(self, ring: RingName, cells: Iterable[CellName]) -> None:
        with TopicAdmin(self.settings, timeout_s=PATIENCE_S) as admin:
            admin.ensure([*shared_topics(TEST_PARTITIONS), *ring_topics(ring, cells, TEST_PARTITIONS)])


@dataclass
class Watched:
    """Ring ``en`` with one encoder and one head worker; ring ``fr`` has topics, and nobody who reads them."""

    kafka: Kafka
    stack: LocalStack
    url: str
    """the dashboard's"""
    exporter: str
    """the URL of its metrics"""
    tenant: TenantName = SHOP.tenant
    asked: int = 0
    """how many requests the tenant has made"""
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    @property
    def settings(self) -> KafkaSettings:
        return self.kafka.settings()

    def ask(self, *texts: str, tenant: str | None = None) -> "Future[Sequence[Result]]":
        """Send the texts; what comes back, once it has."""
        self.asked += len(texts) if tenant is None else 0
        pairs = [(tenant or self.tenant, text) for text in texts]
        return self._pool.submit(asyncio.run, _answers(self.settings, pairs))

    def metrics(self) -> list[Sample]:
        """What the exporter's page says."""
        with urlopen(self.exporter) as page:
            families = text_string_to_metric_families(page.read().decode())
        return [sample for family in families for sample in family.samples]


async def _answers(settings: KafkaSettings, pairs: Sequence[tuple[str, str]]) -> Sequence[Result]:
    async with Client(settings, ring=EN, timeout=PATIENCE_S) as client:
        return [result async for result in client.predict_many(pairs, timeout=PATIENCE_S)]


@contextmanager
def watched_pipeline(new_kafka: NewKafka) -> Iterator[Watched]:
    """All of it, running."""
    with ExitStack() as resources:
        kafka = resources.enter_context(new_kafka())
        stack = resources.enter_context(_SmallStack(kafka=kafka))
        stack.create_topics(FR, (C0,))
        setup = resources.enter_context(RingSetup(stack, EN, (C0,)))
        setup.install(small_random)
        setup.teach(SHOP.tenant, SHOP)
        _let_members_be_silent(kafka.settings())
        stack.workers.start(encoder_worker(EN), head_worker(EN, C0))
        url = resources.enter_context(running_dashboard(kafka.settings()))
        watched = Watched(kafka, stack, url, resources.enter_context(_exporter(kafka.settings())))
        resources.callback(watched._pool.shutdown)
        yield watched
        stack.workers.check()


def _let_members_be_silent(settings: KafkaSettings) -> None:
    """As long as by Kafka's defaults: the embedded broker takes a silent member for dead much sooner."""
    admin = AdminClient(settings, PATIENCE_S)
    admin.alter_configs([ConfigResource(ConfigResourceType.GROUP, HEADS, {"consumer.session.timeout.ms": _SESSION_MS})])
    admin.close()


@contextmanager
def _exporter(settings: KafkaSettings) -> Iterator[str]:
    stop, ports = Event(), Queue[int]()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(serve_lag, settings, load_settings(LagSettings, metrics_port=0), stop, ports.put)
        try:
            yield f"http://127.0.0.1:{ports.get(timeout=60)}/metrics"
        finally:
            stop.set()
        running.result(60)
