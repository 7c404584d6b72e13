"""What a client tells its metrics, over the pipeline in memory."""

import asyncio
import logging

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from manyheads.producers import ClientOptions, DeadlineExceeded, ManyheadsError, Overloaded, RoutingError
from manyheads.producers.metrics import PrometheusMetrics
from manyheads.producers.testing import Fails, FakeClock, FakeNlu, Says, Silence
from manyheads.topics.errors import ErrorCode
from manyheads.topics.metrics import CLIENT_METRICS
from manyheads.topics.names import Lane, RingName

LABELS = {"ring": "en", "lane": "interactive"}


class Watched:
    """A registry with a client's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = PrometheusMetrics(self.registry)

    def ended(self) -> dict[str, float]:
        """Calls by outcome."""
        return {
            sample.labels["outcome"]: sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "manyheads_client_requests_total"
        }

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"manyheads_client_{name}", LABELS | labels)


async def test_every_call_is_counted_once_by_its_outcome() -> None:
    watched, clock = Watched(), FakeClock()
    nlu = FakeNlu(clock=clock)
    nlu.on("acme-bank", Says("balance"))
    nlu.on("unknown", Fails(ErrorCode.UNKNOWN_TENANT))
    nlu.on("silent", Silence())
    options = ClientOptions(max_waiting=0)
    async with nlu.client(timeout=5.0, max_in_flight=2, options=options, metrics=watched.metrics) as client:
        await client.predict("acme-bank", "text")
        await client.predict_for(["acme-bank", "acme-bank"], "text")
        with pytest.raises(RoutingError):
            await client.predict("unknown", "text")
        waiting = [asyncio.create_task(client.predict("silent", "text")) for _ in range(2)]
        await nlu.has_been_asked(6)
        assert watched.sample("in_flight_requests") == 2
        with pytest.raises(Overloaded):
            await client.predict("acme-bank", "text")
        waiting[0].cancel()
        await clock.advance(6.0)
        with pytest.raises(DeadlineExceeded):
            await waiting[1]
    expected = {"ok": 3, "unknown_tenant": 1, "overloaded": 1, "cancelled": 1, "deadline_exceeded": 1}
    assert watched.ended() == expected
    assert watched.sample("in_flight_requests") == 0
    assert watched.sample("request_seconds_count") == 7
    assert watched.sample("request_seconds_bucket", le="2.5") == 6
    assert watched.sample("request_seconds_sum") == pytest.approx(5.0)


async def test_what_cannot_be_sent_at_all_is_not_counted() -> None:
    watched = Watched()
    async with FakeNlu().client(metrics=watched.metrics) as client:
        for tenant, text, ring in (("No Name", "text", "en"), ("acme-bank", "", "en"), ("acme-bank", "text", "xx")):
            with pytest.raises(ManyheadsError):
                await client.predict(tenant, text, ring=ring)
    assert watched.ended() == {}


async def test_metrics_that_raise_cost_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def began(self, ring: RingName, lane: Lane) -> None:
            raise RuntimeError("no")

        def ended(self, ring: RingName, lane: Lane, outcome: str, seconds: float) -> None:
            raise AssertionError("told nothing more")

    with caplog.at_level(logging.ERROR):
        async with FakeNlu(lambda asked: Says("balance")).client(metrics=Broken()) as client:
            for _ in range(2):
                assert (await client.predict("acme-bank", "text")).intent.name == "balance"
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_the_metrics_are_those_of_the_contract() -> None:
    watched = Watched()
    async with FakeNlu(lambda asked: Says("balance")).client(metrics=watched.metrics) as client:
        await client.predict("acme-bank", "text")
    families = text_string_to_metric_families(generate_latest(watched.registry).decode())
    exposed = {family.name: (family.type, family.documentation) for family in families}
    named = {spec.name.removesuffix("_total"): (spec.kind.value, spec.help) for spec in CLIENT_METRICS}
    assert named.items() <= exposed.items()


def test_without_a_registry_it_is_prometheus_clients_own() -> None:
    from prometheus_client import REGISTRY

    PrometheusMetrics().ended(RingName("xx"), Lane.BATCH, "ok", 0.5)
    labels = {"ring": "xx", "lane": "batch"}
    assert REGISTRY.get_sample_value("manyheads_client_requests_total", labels | {"outcome": "ok"}) == 1
    with pytest.raises(ValueError, match="manyheads_client"):
        PrometheusMetrics()
