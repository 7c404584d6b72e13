"""The spans of a stage: over Kafka in memory, driven by the step, exported to memory."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, Sampler
from opentelemetry.trace import SpanKind, StatusCode

from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.stage.observer import StageObserver
from manyheads.infra.stage.options import Clock, LaneInput
from manyheads.infra.stage.tracing import StageTracing
from manyheads.infra.stage.work import Job
from manyheads.infra.stage.worker import StageWorker
from manyheads.topics.headers import Envelope, trace_of
from manyheads.topics.names import Lane, ring
from tests.support.stages import ANSWER, FAIL, FORWARD, AskedStage, request

LIVE, BATCH, NEXT, REPLIES = "nlu.en.requests", "nlu.en.requests.batch", "nlu.en.c0.embeddings", "nlu.replies"
INPUTS = (LaneInput(Lane.INTERACTIVE, ring("en"), LIVE, "live"), LaneInput(Lane.BATCH, ring("en"), BATCH, "batch"))
SAMPLED, UNSAMPLED = "01", "00"


class World:
    """A traced worker, its clock and what it exported."""

    def __init__(self, sampler: Sampler = DEFAULT_ON) -> None:
        self.now = 1_000.0
        self.exported = InMemorySpanExporter()
        provider = TracerProvider(sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exported))
        tracing = StageTracing(provider.get_tracer("test"), lambda: round(self.now * 1e9))
        topics = {LIVE: 1, f"{LIVE}-dlt": 1, BATCH: 1, f"{BATCH}-dlt": 1, REPLIES: 1, NEXT: 1}
        self.kafka = MemoryKafka(topics)
        stage = AskedStage(NEXT, on_process=self._compute)
        clock = Clock(lambda: int(self.now * 1000), lambda: self.now)
        self.worker = StageWorker(self.kafka, stage, INPUTS, observer=StageObserver(tracing=tracing), clock=clock)
        self.worker.open()
        self.run(1)

    def _compute(self, _jobs: Sequence[Job]) -> None:
        self.now += 0.25

    def send(
        self, number: int, value: bytes = ANSWER, *, flags: str | None = SAMPLED, topic: str = LIVE, **envelope: object
    ) -> None:
        """A request of its own trace, whose id is ``number``; without a trace if ``flags`` is None."""
        asked = request(topic, number, value)
        traceparent = None if flags is None else f"00-{number:032x}-{number:016x}-{flags}"
        changed = replace(Envelope.from_headers(asked.headers), traceparent=traceparent, **envelope)  # type: ignore[arg-type]
        self.kafka.write(Outgoing(topic, value, asked.key, changed.to_headers()))

    def run(self, steps: int = 8) -> None:
        for _ in range(steps):
            self.worker.step()
            self.now += 0.3

    def spans(self, name: str) -> list[ReadableSpan]:
        """The ended ones of that name, by trace."""
        found = [span for span in self.exported.get_finished_spans() if span.name == name]
        return sorted(found, key=ids)

    def parents(self, topic: str) -> list[tuple[int, int]]:
        """Trace and span id that the records of a topic name as their sender's."""
        found = [trace_of(record.headers)[0] or "" for record in self.kafka.read(topic)]
        return [(int(each[3:35], 16), int(each[36:52], 16)) for each in found]


@pytest.fixture
def world() -> World:
    return World()


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def links(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def parent(span: ReadableSpan) -> tuple[int, int] | None:
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


def sampled(traceparent: str | None) -> bool:
    assert traceparent is not None
    return bool(int(traceparent[-2:], 16) & 1)


def test_a_record_has_a_span_between_its_senders_and_its_receivers(world: World) -> None:
    world.send(1)
    world.send(2, FORWARD)
    world.run()
    first, second = world.spans(f"process {LIVE}")
    assert [parent(first), parent(second)] == [(1, 1), (2, 2)]
    assert [ids(first)[0], ids(second)[0]] == [1, 2]
    assert world.parents(REPLIES) == [ids(first)]
    assert world.parents(NEXT) == [ids(second)]
    assert first.kind is SpanKind.CONSUMER
    assert first.status.status_code is StatusCode.UNSET
    assert dict(first.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": LIVE,
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
        "messaging.consumer.group.name": "live",
        "messaging.message.conversation_id": b"1".hex(),
        "manyheads.stage": "encoder",
        "manyheads.ring": "en",
        "manyheads.lane": "interactive",
        "manyheads.tenant": "acme-bank",
    }


def test_the_compute_of_a_batch_is_linked_with_all_that_joined_it(world: World) -> None:
    for number in (1, 2, 3):
        world.send(number)
    world.run()
    first, second, third = world.spans(f"process {LIVE}")
    (compute,) = world.spans("compute encoder")
    assert parent(compute) == ids(first)
    assert links(compute) == [ids(first), ids(second), ids(third)]
    assert (links(first), links(second), links(third)) == ([], [ids(compute)], [ids(compute)])
    assert compute.attributes is not None
    assert (compute.attributes["messaging.batch.message_count"], compute.attributes["manyheads.tokens"]) == (3, 0)


def test_times_are_those_of_the_loop(world: World) -> None:
    world.send(1)
    began = world.now
    world.run()
    (record,), (compute,) = world.spans(f"process {LIVE}"), world.spans("compute encoder")
    assert record.start_time == compute.start_time == round(began * 1e9)
    assert compute.end_time == round((began + 0.25) * 1e9)
    # Until the broker's acknowledgement was seen, not until the commit after it.
    assert record.end_time == round((began + 0.25 + 0.3) * 1e9)


def test_an_error_is_on_the_span_by_its_code_alone(world: World) -> None:
    world.send(1, FAIL)
    world.send(2, deadline_ms=1)
    world.run()
    failed, expired = world.spans(f"process {LIVE}")
    for span, code in ((failed, "text_empty"), (expired, "deadline_exceeded")):
        assert span.attributes is not None
        assert span.attributes["error.type"] == code
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
        assert not span.events
    (compute,) = world.spans("compute encoder")
    assert links(compute) == [ids(failed)]
    # What is refused at once is answered in its sender's own span.
    assert sorted(world.parents(REPLIES)) == [ids(failed), (2, 2)]


def test_a_record_without_readable_headers_has_no_span(world: World) -> None:
    world.kafka.write(Outgoing(LIVE, b"", headers=(("traceparent", f"00-{1:032x}-{1:016x}-01".encode()),)))
    world.run()
    assert len(world.kafka.read(f"{LIVE}-dlt")) == 1
    assert not world.exported.get_finished_spans()


def test_the_batch_lane_is_traced_too(world: World) -> None:
    world.send(1, topic=BATCH)
    world.run(12)
    (span,) = world.spans(f"process {BATCH}")
    assert parent(span) == (1, 1)
    assert world.parents(REPLIES) == [ids(span)]


def test_what_the_sender_did_not_sample_is_not_sampled_here(world: World) -> None:
    world.send(1, flags=UNSAMPLED, tracestate="vendor=1")
    world.send(2, tracestate="vendor=2")
    world.run()
    (span,) = world.spans(f"process {LIVE}")
    assert ids(span)[0] == 2
    (compute,) = world.spans("compute encoder")
    assert links(compute) == [ids(span)]
    first, second = (trace_of(each.headers) for each in world.kafka.read(REPLIES))
    assert (sampled(first[0]), first[1]) == (False, "vendor=1")
    assert (sampled(second[0]), second[1]) == (True, "vendor=2")
    assert [trace for trace, _ in world.parents(REPLIES)] == [1, 2]


def test_without_a_sender_who_traces_the_worker_decides_once() -> None:
    sampling = World()
    sampling.send(1, flags=None)
    sampling.run()
    (span,) = sampling.spans(f"process {LIVE}")
    assert span.parent is None
    assert sampling.parents(REPLIES) == [ids(span)]

    dropping = World(ALWAYS_OFF)
    dropping.send(1, flags=None)
    dropping.run()
    assert not dropping.exported.get_finished_spans()
    (reply,) = dropping.kafka.read(REPLIES)
    assert not sampled(trace_of(reply.headers)[0])
