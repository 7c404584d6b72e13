"""One trace shows the whole way: the SDK in this process, worker processes, OTLP to a collector."""

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import format_trace_id

from manyheads.producers import Client, spans
from tests.broker.pipelines import SHOP, Pipelines
from tests.support.load import wait_until
from tests.support.otlp import ExportedSpan

MARKER = "xylophonequartz"
WAY = (
    ("application", "question"),
    ("application", "send nlu.en.requests"),
    ("manyheads-encoder-worker", "process nlu.en.requests"),
    ("manyheads-head-worker", "process nlu.en.c0.embeddings"),
    ("application", "receive nlu.replies"),
)


@pytest.fixture
def application(pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    """The provider of an application, which exports to where the workers do."""
    provider = TracerProvider(resource=Resource.create({"service.name": "application"}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{pipelines.collector.endpoint}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
    monkeypatch.setattr(spans, "get_tracer_provider", lambda: provider)  # the process's own can be set but once
    yield provider
    provider.shutdown()


async def test_one_trace_shows_the_whole_way_also_of_requests_that_shared_a_batch(
    pipelines: Pipelines, application: TracerProvider
) -> None:
    traces: set[str] = set()

    async def ask(client: Client, number: int) -> None:
        with application.get_tracer("question").start_as_current_span("question") as question:
            traces.add(format_trace_id(question.get_span_context().trace_id))
            await client.predict(SHOP.tenant, f"please {MARKER} my order {number}", timeout=60)

    def ours(name: str) -> list[ExportedSpan]:
        return [span for span in pipelines.collector.spans if span.name == name and span.trace in traces]

    async with Client(pipelines.stack.settings) as client:
        # What is queued while a batch is computed joins the next: it comes to that soon.
        while not any(len(span.links) > 1 for span in ours("compute encoder")):
            await asyncio.gather(*(ask(client, number) for number in range(16)))
    for _, name in WAY:
        wait_until(lambda name=name: len(ours(name)) == len(traces))  # type: ignore[misc]

    compute = next(span for span in ours("compute encoder") if len(span.links) > 1)
    assert len({trace for trace, _ in compute.links}) == len(compute.links)
    assert (compute.trace, compute.parent) == compute.links[0]
    assert compute.attributes["messaging.batch.message_count"] == len(compute.links)
    assert compute.attributes["manyheads.tokens"] > 0
    for trace, joined in compute.links:
        way = [next(span for span in ours(name) if span.trace == trace) for _, name in WAY]
        assert tuple((span.service, span.name) for span in way) == WAY
        assert [span.parent for span in way] == ["", *(span.span for span in way[:-1])]
        encoded = way[2]
        assert encoded.span == joined
        assert encoded.links == (() if joined == compute.parent else ((compute.trace, compute.span),))
        assert encoded.started_ns <= compute.started_ns <= compute.ended_ns <= encoded.ended_ns
        assert all("error.type" not in span.attributes for span in way)
        assert {span.attributes["manyheads.tenant"] for span in way[1:]} == {SHOP.tenant}
    assert MARKER.encode() not in b"".join(pipelines.collector.bodies)
