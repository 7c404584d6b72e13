"""Workers' reports over a real broker: what the reader adds up is what was sent."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from manyheads.cli.tenants_top import TopRequest, run_tenants_top
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker import EmbeddedKafka
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.stage.observer import StageObserver
from manyheads.infra.telemetry import Metrics
from manyheads.infra.telemetry.aggregate import LaneKey, TenantOrder
from manyheads.infra.telemetry.report_publisher import ReportPublisher, worker_identity
from manyheads.infra.telemetry.reports import ReportReader
from manyheads.producers import Client
from manyheads.topics.catalogue import shared_topics
from manyheads.topics.errors import ManyheadsError
from manyheads.topics.names import TELEMETRY_TOPIC, Lane
from manyheads.topics.telemetry import WorkerReport, WorkerState
from tests.broker.pipelines import EN, PLAIN, SHOP, Pipelines
from tests.support.load import wait_until

pytestmark = pytest.mark.usefixtures("topic_admin")


@pytest.fixture
def reader(kafka_settings: KafkaSettings) -> Iterator[ReportReader]:
    with ReportReader(kafka_settings) as reader:
        assert reader.wait_until_read(30)
        yield reader


def top_tenants(pipelines: Pipelines, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """As the command line has them."""
    request = TopRequest(ring=EN, by=TenantOrder.REQUESTS, minutes=15, limit=10)
    run_tenants_top(request, pipelines.stack.settings.bootstrap_servers, as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(row["p50_ms"] <= row["p99_ms"] for row in rows)
    return {row["tenant"]: row["requests"] for row in rows}


def seen(reader: ReportReader, instance: str) -> WorkerReport | None:
    workers = reader.query(lambda reports, now: reports.workers(now))
    return next((each.report for each in workers if each.report.worker.instance == instance), None)


def test_the_last_report_says_that_it_stops(
    kafka_settings: KafkaSettings, reader: ReportReader, unique_ring: str
) -> None:
    observer = StageObserver()
    observer.models = {"encoder": "7"}
    who = worker_identity(unique_ring, "head", unique_ring, "c0")
    with ReportPublisher(kafka_settings, who, observer):
        observer.state = WorkerState.READY
        wait_until(lambda: seen(reader, unique_ring) is not None)
        report = seen(reader, unique_ring)
        assert report is not None
        assert (report.state, report.models, report.worker) == (WorkerState.READY, {"encoder": "7"}, who)
        assert report.rss_bytes > 10_000_000

    def stopped() -> bool:
        report = seen(reader, unique_ring)
        return report is not None and report.state is WorkerState.STOPPED

    wait_until(stopped)


def test_what_is_no_report_is_passed_over(
    kafka_settings: KafkaSettings, reader: ReportReader, unique_ring: str
) -> None:
    producer = Producer({**kafka_settings.confluent()})
    for value in (None, b"", b"\xc1", b"\x81\xa1v\x09"):
        producer.produce(TELEMETRY_TOPIC, value, b"x")
    producer.flush(30)
    with ReportPublisher(kafka_settings, worker_identity(unique_ring, "head", unique_ring, "c0"), StageObserver()):
        pass
    wait_until(lambda: seen(reader, unique_ring) is not None)
    assert reader.problem is None


def test_without_its_topic_a_publisher_warns_once_and_a_reader_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with EmbeddedKafka() as kafka:
        settings = kafka.settings()
        metrics = Metrics()
        publisher = ReportPublisher(settings, worker_identity("i", "head", "en", "c0"), StageObserver(), metrics)

        def reports(outcome: str) -> float:
            return metrics.registry.get_sample_value("manyheads_reports_total", {"outcome": outcome}) or 0.0

        with publisher, ReportReader(settings) as reader:
            wait_until(lambda: reader.problem is not None)
            assert reader.problem == "Kafka has no topic nlu.telemetry; create it with: manyheads topics create"
            assert not reader.wait_until_read(1)
            wait_until(lambda: any("reports_not_taken" in message for message in caplog.messages))
            assert reports("failed") >= 1
            assert reports("ok") == 0
            with TopicAdmin(settings) as admin:
                admin.ensure(shared_topics())
            wait_until(lambda: reader.problem is None and seen(reader, "i") is not None)
            wait_until(lambda: reports("ok") >= 1)
            kafka.kill()
            wait_until(lambda: reader.problem is not None)
            kafka.restart()
            wait_until(lambda: reader.problem is None)
    assert sum("reports_not_taken" in message for message in caplog.messages) <= 2


async def test_reports_of_a_pipeline_are_what_was_sent(
    pipelines: Pipelines, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counted at both stages, for each tenant where it was answered."""

    def figures(reader: ReportReader) -> tuple[dict[LaneKey, int], dict[str, tuple[int, int]]]:
        lanes, tenants = reader.query(
            lambda reports, now: (reports.lanes(now, 900_000), reports.tenants(now, 900_000, ring=EN))
        )
        return (
            {key: each.records for key, each in lanes.items() if key.lane is Lane.INTERACTIVE},
            {each.tenant: (each.requests, each.errors) for each in tenants},
        )

    encoder, head = LaneKey(EN, "encoder", None, Lane.INTERACTIVE), LaneKey(EN, "head", "c0", Lane.INTERACTIVE)
    with ReportReader(pipelines.stack.settings) as reader:
        assert reader.wait_until_read(30)
        settled = [figures(reader)]

        def quiet() -> bool:
            # Earlier tests' last records may be in a report still to come.
            settled.append(figures(reader))
            return settled[-1] == settled[-2]

        wait_until(quiet)
        lanes, tenants = settled[-1]
        async with Client(pipelines.stack.settings) as client:
            await asyncio.gather(*(client.predict(SHOP.tenant, each.text, timeout=30) for each in SHOP.held_out[:40]))
            await asyncio.gather(*(client.predict(PLAIN.tenant, each.text, timeout=30) for each in PLAIN.held_out[:9]))
            with pytest.raises(ManyheadsError):
                await client.predict("nobody-at-all", "hello", timeout=30)
        before = tenants.get(SHOP.tenant, (0, 0))

        def counted() -> bool:
            now = figures(reader)
            return now[0].get(encoder, 0) - lanes.get(encoder, 0) >= 50 and now[1].get(PLAIN.tenant, (0, 0))[0] >= 9

        wait_until(counted)
        wait_until(lambda: figures(reader)[0].get(head, 0) - lanes.get(head, 0) >= 40)
        lanes_now, tenants_now = figures(reader)
        assert lanes_now[encoder] - lanes.get(encoder, 0) == 50
        assert lanes_now[head] - lanes.get(head, 0) == 40
        assert tenants_now[SHOP.tenant][0] - before[0] == 40
        assert "nobody-at-all" not in tenants_now
        workers = reader.query(lambda reports, now: reports.workers(now))
        ready = [each.report for each in workers if each.report.state is WorkerState.READY and not each.lost]
        assert {(each.worker.stage, each.worker.ring) for each in ready} >= {("encoder", EN), ("head", EN)}
        loaded = [each.heads.loaded for each in ready if each.heads is not None and each.worker.ring == EN]
        assert sum(loaded) >= 2
        assert top_tenants(pipelines, capsys)[SHOP.tenant] >= 40
        total = reader.query(lambda reports, now: reports.lanes(now, 900_000))[head].total
        assert total.count >= 40
