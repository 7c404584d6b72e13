"""A small real stack, asked, and a real Prometheus that scrapes it."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client import CollectorRegistry, start_http_server

from manyheads.cli.ring_setup import RingSetup
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker.ports import LOOPBACK, free_ports
from manyheads.infra.local import LocalStack, RunningKafka, encoder_worker, head_worker
from manyheads.infra.local.workers import environment
from manyheads.infra.process import Guard
from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Client
from manyheads.producers.metrics import PrometheusMetrics
from manyheads.topics.catalogue import ring_topics
from manyheads.topics.names import REGISTRY_TOPIC, Lane, embeddings_topic, encoder_group, requests_topic
from tests.broker.pipelines import C0, EN, FR, PLAIN, renamed, small_random
from tests.conftest import TEST_PARTITIONS
from tests.support.prometheus import Prometheus, start_prometheus, until

UNREAD = 7
"""records of ring ``fr``"""
COMMITTED = 2
"""those of them that are done, by the offset that was committed"""
_ASKED = 20


@dataclass
class Live:
    """Ring ``en`` is served by two workers, and was asked twice; nobody reads what waits in ring ``fr``."""

    settings: KafkaSettings
    prometheus: Prometheus
    exporter_url: str
    since: float
    """when it began, in seconds since 1970: the timestamp of ring ``fr``'s first record; the next are a second apart"""
    waves: int = 0
    """how often ring ``en`` was asked"""

    def finished(self) -> dict[tuple[str, str, str], float]:
        """Records by stage, lane and outcome, as Prometheus has them."""
        samples = self.prometheus.instant("sum by (stage, lane, outcome) (manyheads_records_total)")
        return {(each.labels["stage"], each.labels["lane"], each.labels["outcome"]): each.value for each in samples}

    def least_timed(self) -> float:
        """Calls whose time the SDK told, of the lane with the fewest, as Prometheus has them."""
        samples = self.prometheus.instant("sum by (lane) (manyheads_client_request_seconds_count)")
        return min((each.value for each in samples), default=0.0) if len(samples) == len(Lane) else 0.0

    def sent(self) -> dict[tuple[str, str, str], float]:
        """The same, as they were sent."""
        good = {(stage, lane.value, "ok"): _ASKED for stage in ("encoder", "head") for lane in Lane}
        bad = {
            ("encoder", "interactive", "unknown_tenant"): 1,
            ("encoder", "interactive", "missing_header"): 1,
            ("head", "interactive", "missing_header"): 1,
        }
        return {what: count * self.waves for what, count in (good | bad).items()}


@contextmanager
def running_live(program: str, kafka: RunningKafka) -> Iterator[Live]:
    """On a Kafka without topics; ``program`` is Prometheus."""
    since = time.time() - UNREAD
    listens, encoder, head, lag, shop = free_ports(5)
    with ExitStack() as resources:
        stack = resources.enter_context(LocalStack(kafka=kafka))
        ring = resources.enter_context(RingSetup(stack, EN, (C0,)))
        ring.install(small_random)
        ring.teach(PLAIN.tenant, PLAIN)
        with TopicAdmin(stack.settings) as admin:
            admin.ensure(ring_topics(FR, [C0], TEST_PARTITIONS))
        _leave_unread(stack.settings, since)
        stack.workers.start(encoder_worker(EN, metrics_port=str(encoder)), head_worker(EN, C0, metrics_port=str(head)))
        guard = resources.enter_context(Guard())
        _serve_lag(guard, stack.settings, lag)
        calls = _serve_calls(resources, shop)
        targets = {"encoder_worker": [encoder], "head_worker": [head], "lag": [lag], "shop": [shop]}
        prometheus = start_prometheus(guard, program, listens, targets)
        live = Live(stack.settings, prometheus, f"http://{LOOPBACK}:{lag}/metrics", since)
        # A rate needs a counter that was scraped before it rises: the labels of the second wave are those of the first.
        for _ in range(2):
            _ask(live, ring, calls)
            until(lambda: live.finished() == live.sent(), lambda: f"{live.finished()} is not {live.sent()}")
            until(lambda: live.least_timed() >= _ASKED * live.waves, lambda: f"{live.least_timed()} calls are timed")
        yield live
        stack.workers.check()


def commit(settings: KafkaSettings, offset: int) -> None:
    """Ring ``fr``'s records before the offset are done."""
    consumer = Consumer(settings.confluent() | {"group.id": encoder_group(FR)})
    consumer.commit(offsets=[TopicPartition(requests_topic(FR), 0, offset)], asynchronous=False)
    consumer.close()


def _leave_unread(settings: KafkaSettings, since: float) -> None:
    producer = Producer({**settings.confluent()})
    for number in range(UNREAD):
        producer.produce(requests_topic(FR), b"record", partition=0, timestamp=round((since + number) * 1_000))
    assert producer.flush(30) == 0
    commit(settings, COMMITTED)


def _serve_lag(guard: Guard, settings: KafkaSettings, port: int) -> None:
    told: Mapping[str, Any] = {"METRICS_PORT": port, "LAG_INTERVAL_S": 0.5, "LAG_PATIENCE_S": 1}
    env = os.environ | environment(settings) | {f"MANYHEADS_{name}": str(value) for name, value in told.items()}
    guard.run("lag", [sys.executable, "-m", "manyheads.cli", "lag", "serve"], guard.folder / "lag.log", env)


def _serve_calls(resources: ExitStack, port: int) -> PrometheusMetrics:
    """The SDK's metrics, served as an application does."""
    registry = CollectorRegistry()
    server, thread = start_http_server(port, LOOPBACK, registry)
    resources.callback(thread.join)
    resources.callback(server.server_close)
    resources.callback(server.shutdown)
    return PrometheusMetrics(registry)


def _ask(live: Live, ring: RingSetup, calls: PrometheusMetrics) -> None:
    """Good requests on both lanes, one for nobody, rubbish on three topics, and another head for the next time."""
    live.waves += 1

    async def ask(lane: Lane) -> None:
        async with Client(live.settings, ring=EN, lane=lane, timeout=60, metrics=calls) as client:
            texts = [(PLAIN.tenant, each.text) for each in PLAIN.held_out[:_ASKED]]
            nobody = [("nobody", "hello")] if lane is Lane.INTERACTIVE else []
            async for result in client.predict_many([*texts, *nobody]):
                assert (result.error is None) == (result.index < _ASKED)

    for lane in Lane:
        asyncio.run(ask(lane))
    producer = Producer({**live.settings.confluent()})
    for topic in (requests_topic(EN), embeddings_topic(EN, C0), REGISTRY_TOPIC):
        producer.produce(topic, b"rubbish", b"key")
    assert producer.flush(30) == 0
    ring.teach(PLAIN.tenant, renamed(PLAIN, f"-{live.waves}"))
