"""The encoder stage: from requests to what the head stage is sent."""

from collections.abc import Sequence

import pytest

from manyheads.encoder_worker import EncoderModel, EncoderStage
from manyheads.infra.registry.reader import FixedRegistry
from manyheads.infra.registry.snapshot import RegistrySnapshot
from manyheads.infra.stage.work import Forward, Job, Outcome, Record, Stage
from manyheads.infra.telemetry import Metrics
from manyheads.topics.codec import pack
from manyheads.topics.errors import ErrorCode, ManyheadsError, RoutingError
from manyheads.topics.headers import Envelope, ReplyAddress
from manyheads.topics.messages import Embedding, Request, SharedRequest
from manyheads.topics.metrics import BATCH_TOKENS
from manyheads.topics.names import Lane, RingName, cell, requests_topic, ring, space, tenant, version
from manyheads.topics.partitions import tenant_key, tenant_keys
from manyheads.topics.registry import ArtifactRef, HeadRecord, PlacementRecord, RingRecord, WirePrecision
from manyheads.topics.tensor import Precision
from manyheads.topics.views import View

RING = ring("en")


def _head(name: str, view: str, in_space: str = "random-3x48") -> HeadRecord:
    return HeadRecord(
        ring=RING,
        tenant=tenant(name),
        version=version("h1"),
        space=space(in_space),
        view=View.parse(view),
        artifact=ArtifactRef(name="head.onnx", sha256="0" * 64, bytes=1),
    )


def _placement(name: str, **fields: object) -> PlacementRecord:
    return PlacementRecord.model_validate({"v": 1, "ring": RING, "tenant": name, "cell": "c0", "head": "h1", **fields})


SNAPSHOT = RegistrySnapshot(
    [
        RingRecord(ring=RING, encoder=version("e1"), cells=(cell("c0"), cell("c1"))),
        _head("intents", "pooled:1,2,3"),
        _placement("intents"),
        _head("entities", "words:3"),
        _placement("entities", cell="c1", precision=WirePrecision.FLOAT16),
        _head("big", "pooled:3"),
        _placement("big", spread=4),
        _head("other-space", "pooled:3", "minilm-l6-v2"),
        _placement("other-space"),
        _head("other-view", "pooled:2"),
        _placement("other-view"),
        _placement("headless", head=None),
        _placement("gone", head="h9"),
    ]
)


@pytest.fixture
def stage(small_model: EncoderModel) -> EncoderStage:
    ticks = iter(range(1000))
    return EncoderStage(RING, small_model, FixedRegistry(SNAPSHOT), clock=lambda: next(ticks) / 8)


def _job(name: str, value: bytes | None, *, lane: Lane = Lane.INTERACTIVE, correlation_id: bytes = b"id") -> Job:
    envelope = Envelope(tenant(name), ReplyAddress(correlation_id, "nlu.replies", 3))
    record = Record(requests_topic(RING, lane), 0, 7, 1_000, None, value, envelope.to_headers())
    return Job(record, envelope, queue_ms=2.5)


def _text(text: str) -> bytes:
    return Request(text=text).to_bytes()


def _process(stage: Stage, jobs: Sequence[Job]) -> list[Outcome]:
    found = list(stage.process(jobs))
    assert sorted(index for index, _ in found) == list(range(len(jobs)))
    return [outcome for _, outcome in sorted(found, key=lambda pair: pair[0])]


def _forwarded(outcome: Outcome) -> tuple[Forward, Embedding]:
    assert isinstance(outcome, Forward), outcome
    return outcome, Embedding.from_bytes(outcome.value)


def test_each_tenant_gets_what_its_head_reads(stage: EncoderStage) -> None:
    outcomes = _process(stage, [_job("intents", _text("move 40 euros")), _job("entities", _text("move 40 euros"))])
    forward, embedding = _forwarded(outcomes[0])
    assert forward.topic == "nlu.en.c0.embeddings"
    assert forward.key == b"intents"
    assert (str(embedding.view), embedding.tensor.shape) == ("pooled:1,2,3", (1, 144))
    assert embedding.tensor.precision is Precision.INT8
    forward, embedding = _forwarded(outcomes[1])
    assert forward.topic == "nlu.en.c1.embeddings"
    assert (str(embedding.view), embedding.tensor.shape) == ("words:3", (3, 48))
    assert embedding.tensor.precision is Precision.FLOAT16
    assert embedding.row_spans() == ((0, 4), (5, 7), (8, 13))


def test_the_batch_lane_stays_the_batch_lane(stage: EncoderStage) -> None:
    (outcome,) = _process(stage, [_job("intents", _text("hello"), lane=Lane.BATCH)])
    assert _forwarded(outcome)[0].topic == "nlu.en.c0.embeddings.batch"


def test_a_big_tenant_is_spread_over_its_keys(stage: EncoderStage) -> None:
    ids = [f"id-{i}".encode() for i in range(40)]
    outcomes = _process(stage, [_job("big", _text("hello"), correlation_id=each) for each in ids])
    keys = [_forwarded(outcome)[0].key for outcome in outcomes]
    assert keys == [tenant_key(tenant("big"), 4, each) for each in ids]
    assert set(keys) == set(tenant_keys(tenant("big"), 4))


def test_a_text_for_several_tenants_is_read_once_and_keyed_by_each(stage: EncoderStage) -> None:
    value = SharedRequest(text="move 40 euros").to_bytes()
    outcomes = _process(stage, [_job(name, value) for name in ("intents", "nobody", "entities")])
    assert isinstance(outcomes[1], RoutingError)
    (first, intents), (last, entities) = _forwarded(outcomes[0]), _forwarded(outcomes[2])
    assert (first.topic, first.key) == ("nlu.en.c0.embeddings", b"intents")
    assert (last.topic, last.key) == ("nlu.en.c1.embeddings", b"entities")
    assert (str(intents.view), str(entities.view)) == ("pooled:1,2,3", "words:3")
    (alone,) = _process(stage, [_job("entities", _text("move 40 euros"))])
    assert _forwarded(alone)[1].tensor == entities.tensor
    assert (first.tokens, last.tokens) == (_forwarded(alone)[0].tokens, 0)


def test_the_timing_is_the_wait_and_the_time_since_the_batch_began(stage: EncoderStage) -> None:
    texts = ["go " * 240, "go", "no " * 240]
    outcomes = _process(stage, [_job("intents", _text(text)) for text in texts])
    timings = [_forwarded(outcome)[1].timing for outcome in outcomes]
    assert [timing.queue_ms for timing in timings] == [2.5] * 3
    assert [timing.compute_ms for timing in timings] == [250, 125, 375]


@pytest.mark.parametrize(
    ("job", "code", "hint"),
    [
        (_job("intents", b"\xc1"), ErrorCode.MALFORMED_MESSAGE, "another program"),
        (_job("intents", None), ErrorCode.MALFORMED_MESSAGE, "no value"),
        (_job("intents", pack({"v": 9, "text": "hello"})), ErrorCode.UNKNOWN_SCHEMA_VERSION, "upgrade"),
        (_job("intents", _text("  ")), ErrorCode.TEXT_EMPTY, "visible"),
        (_job("intents", _text("\u200b")), ErrorCode.TEXT_EMPTY, "visible"),
        (_job("intents", pack({"v": 1, "text": "a\x00"})), ErrorCode.TEXT_CONTROL_CHARACTER, "remove"),
        (_job("nobody", _text("hello")), ErrorCode.UNKNOWN_TENANT, "nobody"),
        (_job("headless", _text("hello")), ErrorCode.NO_ACTIVE_HEAD, "activate"),
        (_job("gone", _text("hello")), ErrorCode.NO_ACTIVE_HEAD, "h9"),
        (_job("other-space", _text("hello")), ErrorCode.SPACE_MISMATCH, "minilm-l6-v2"),
        (_job("other-view", _text("hello")), ErrorCode.SPACE_MISMATCH, "pooled:3"),
    ],
    ids=lambda value: str(value) if isinstance(value, ErrorCode) else "",
)
def test_one_bad_job_is_its_own_error_and_nobody_elses(
    stage: EncoderStage, job: Job, code: ErrorCode, hint: str
) -> None:
    good = _job("intents", _text("move 40 euros"))
    first, error, last = _process(stage, [good, job, good])
    assert isinstance(error, ManyheadsError)
    assert error.code is code
    assert hint in error.message
    (alone,) = _process(stage, [good])
    tensors = [_forwarded(outcome)[1].tensor for outcome in (first, last, alone)]
    assert tensors[0] == tensors[1] == tensors[2]


def test_a_ring_that_nobody_registered_is_unknown(small_model: EncoderModel) -> None:
    lonely = EncoderStage(RingName("fr"), small_model, FixedRegistry(SNAPSHOT))
    (error,) = _process(lonely, [_job("intents", _text("hello"))])
    assert isinstance(error, ManyheadsError)
    assert error.code is ErrorCode.UNKNOWN_RING


def test_it_is_always_ready_and_counts_the_tokens_of_each_run(small_model: EncoderModel) -> None:
    metrics = Metrics()
    stage = EncoderStage(RING, small_model, FixedRegistry(SNAPSHOT), metrics)
    stage.assigned("nlu.en.requests", [0, 1], 8)
    assert stage.prepare(0.0)
    _process(stage, [_job("intents", _text("go go")), _job("intents", b"")])
    stage.revoked("nlu.en.requests", [0])
    assert metrics.registry.get_sample_value(f"{BATCH_TOKENS.name}_sum", {"ring": "en"}) == 4
    assert metrics.registry.get_sample_value(f"{BATCH_TOKENS.name}_count", {"ring": "en"}) == 1
