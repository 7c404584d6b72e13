"""The spans of a client's calls, over the pipeline in memory, in a tracer provider of the test's own."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from manyheads.producers import ClientOptions, DeadlineExceeded, InvalidRequest, Overloaded, spans
from manyheads.producers.testing import Fails, FakeClock, FakeNlu, Says, Silence
from manyheads.topics.errors import ErrorCode
from manyheads.topics.headers import Envelope

SEND, RECEIVE = "send nlu.en.requests", "receive nlu.replies"


class Traced:
    """An application's provider, and what it exported."""

    def __init__(self) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self._exported = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exported))
        self.tracer = self.provider.get_tracer("application")

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exported.get_finished_spans() if span.name == name]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    traced = Traced()
    monkeypatch.setattr(spans, "get_tracer_provider", lambda: traced.provider)
    yield traced
    traced.provider.shutdown()


def ids(span: ReadableSpan | SpanContext | None) -> tuple[int, int]:
    context = span.get_span_context() if isinstance(span, ReadableSpan) else span
    assert context is not None
    return context.trace_id, context.span_id


def sent_in(envelope: Envelope) -> tuple[int, int]:
    assert envelope.traceparent is not None
    return int(envelope.traceparent[3:35], 16), int(envelope.traceparent[36:52], 16)


def code_of(span: ReadableSpan) -> object:
    assert span.attributes is not None
    return span.attributes.get("error.type")


async def test_a_call_is_sent_within_the_applications_span_and_received_within_that_of_the_answer(
    traced: Traced,
) -> None:
    nlu = FakeNlu(lambda asked: Says("balance"))
    async with nlu.client() as client:
        with traced.tracer.start_as_current_span("application") as application:
            await client.predict("acme-bank", "what is my balance")
    (send,), (receive,) = traced.spans(SEND), traced.spans(RECEIVE)
    assert ids(send.parent) == ids(application.get_span_context())
    assert sent_in(nlu.asked[0].envelope) == ids(send)
    assert ids(receive.parent) == ids(send)  # nobody in between has spans
    assert (send.kind, receive.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    where = {"manyheads.ring": "en", "manyheads.lane": "interactive", "manyheads.tenant": "acme-bank"}
    call = {"messaging.system": "kafka"} | where
    call["messaging.message.conversation_id"] = nlu.asked[0].envelope.reply.correlation_id.hex()
    for span, operation, topic in ((send, "send", "nlu.en.requests"), (receive, "receive", "nlu.replies")):
        names = {"messaging.operation.name": operation, "messaging.operation.type": operation}
        assert dict(span.attributes or {}) == call | names | {"messaging.destination.name": topic}
        assert span.status.status_code is StatusCode.UNSET


async def test_an_error_reply_is_an_error_of_the_receiving_alone(traced: Traced) -> None:
    nlu = FakeNlu(lambda asked: Fails(ErrorCode.TEXT_EMPTY))
    async with nlu.client() as client:
        with pytest.raises(InvalidRequest):
            await client.predict("acme-bank", "what is my balance")
    (send,), (receive,) = traced.spans(SEND), traced.spans(RECEIVE)
    assert (code_of(send), code_of(receive)) == (None, "text_empty")
    assert receive.status.status_code is StatusCode.ERROR


async def test_a_call_without_a_reply_ends_with_its_code(traced: Traced) -> None:
    clock = FakeClock()
    nlu = FakeNlu(lambda asked: Silence(), clock=clock)
    async with nlu.client(timeout=5.0) as client:
        call = asyncio.create_task(client.predict("acme-bank", "what is my balance"))
        await nlu.has_been_asked(1)
        await clock.advance(6.0)
        with pytest.raises(DeadlineExceeded):
            await call
        given_up = asyncio.create_task(client.predict("acme-bank", "what is my balance"))
        await nlu.has_been_asked(2)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
    assert [code_of(span) for span in traced.spans(SEND)] == [None, None]
    assert [code_of(span) for span in traced.spans(RECEIVE)] == ["deadline_exceeded", "cancelled"]


async def test_what_is_not_let_in_is_not_sent(traced: Traced) -> None:
    nlu = FakeNlu(lambda asked: Silence())
    async with nlu.client(max_in_flight=1, options=ClientOptions(max_waiting=0, close_timeout_s=0)) as client:
        call = asyncio.create_task(client.predict("acme-bank", "one"))
        await nlu.has_been_asked(1)
        with pytest.raises(Overloaded):
            await client.predict("acme-bank", "two")
        call.cancel()
    assert [code_of(span) for span in traced.spans(SEND)] == [None, "overloaded"]


async def test_a_record_for_several_tenants_is_sent_once_and_received_by_each(traced: Traced) -> None:
    nlu = FakeNlu(lambda asked: Says("balance"))
    async with nlu.client() as client:
        await client.predict_for(["acme-bank", "harbour-dental"], "what is my balance")
    (send,) = traced.spans(SEND)
    assert send.attributes is not None
    assert "manyheads.tenant" not in send.attributes
    received = traced.spans(RECEIVE)
    assert [ids(span.parent) for span in received] == [ids(send)] * 2
    assert {(span.attributes or {})["manyheads.tenant"] for span in received} == {"acme-bank", "harbour-dental"}


async def test_a_named_parent_goes_before_the_active_span(traced: Traced) -> None:
    nlu = FakeNlu(lambda asked: Says("balance"))
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with nlu.client() as client:
        with traced.tracer.start_as_current_span("application"):
            await client.predict("acme-bank", "what is my balance", traceparent=parent)
    (send,) = traced.spans(SEND)
    assert ids(send.parent) == (int("a" * 32, 16), int("b" * 16, 16))


async def test_a_reply_of_another_trace_is_no_parent(traced: Traced) -> None:
    nlu = FakeNlu(lambda asked: Silence())
    async with nlu.client() as client:
        call = asyncio.create_task(client.predict("acme-bank", "what is my balance"))
        (asked,) = await nlu.has_been_asked(1)
        foreign = replace(asked.envelope, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
        nlu.reply(replace(asked, envelope=foreign), Says("balance"))
        await call
    (send,), (receive,) = traced.spans(SEND), traced.spans(RECEIVE)
    assert ids(receive.parent) == ids(send)


@pytest.mark.parametrize("flags", [TraceFlags.SAMPLED, TraceFlags.DEFAULT])
async def test_without_a_provider_the_applications_context_travels_as_it_is(flags: int) -> None:
    """Such as where another library took it from an incoming request."""
    state = TraceState([("vendor", "1")])
    context = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(flags), trace_state=state)
    nlu = FakeNlu(lambda asked: Says("balance"))
    async with nlu.client() as client:
        await client.predict("acme-bank", "what is my balance")
        with trace.use_span(NonRecordingSpan(context)):
            await client.predict("acme-bank", "what is my balance")
    bare, carried = (asked.envelope for asked in nlu.asked)
    assert (bare.traceparent, bare.tracestate) == (None, None)
    assert carried.traceparent == f"00-{0xABC:032x}-{0xDEF:016x}-{flags:02x}"
    assert carried.tracestate == "vendor=1"


async def test_what_is_not_sampled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
    monkeypatch.setattr(spans, "get_tracer_provider", lambda: provider)
    nlu = FakeNlu(lambda asked: Says("balance"))
    async with nlu.client() as client:
        await client.predict("acme-bank", "what is my balance")
    traceparent = nlu.asked[0].envelope.traceparent
    assert traceparent is not None
    assert not int(traceparent[-2:], 16) & 1
