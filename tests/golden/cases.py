"""What the golden files hold: each case is one message or one set of headers, and why it is here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from manyheads.topics import names
from manyheads.topics.arrays import to_tensor
from manyheads.topics.errors import Detail, ErrorCode, WireError
from manyheads.topics.headers import DeadLetterReason, Envelope, Headers, ReplyAddress, Target, reply_headers
from manyheads.topics.messages import (
    Embedding,
    EntitySpan,
    Failure,
    Intent,
    Message,
    Prediction,
    Reply,
    Request,
    SharedRequest,
    StageTiming,
    Timings,
    Truncation,
    Versions,
)
from manyheads.topics.names import Lane
from manyheads.topics.registry import (
    ArtifactRef,
    EncoderRecord,
    HeadRecord,
    PlacementRecord,
    RegistryRecord,
    RingRecord,
    WirePrecision,
)
from manyheads.topics.sketch import Sketch
from manyheads.topics.spans import pack_spans, word_shapes
from manyheads.topics.telemetry import (
    HeadsReport,
    LaneReport,
    TenantCounts,
    WorkerIdentity,
    WorkerReport,
    WorkerState,
)
from manyheads.topics.tensor import Precision
from manyheads.topics.views import Rows, View

FOLDER = Path(__file__).parent / "v1"

EN, C0, ACME = names.ring("en"), names.cell("c0"), names.tenant("acme-bank")
SPACE, ENCODER, HEAD = names.space("minilm-l6-v2"), names.version("20261121-3f9a"), names.version("7")

TEXT = "move 40 euros to my savings"
WORDS = [(0, 4), (5, 7), (8, 13), (14, 16), (17, 19), (20, 27)]
TIMINGS = Timings(
    encoder=StageTiming(queue_ms=1.5, compute_ms=3.25), head=StageTiming(queue_ms=0.125, compute_ms=0.002)
)


@dataclass(frozen=True)
class Case:
    """One golden file. ``expected`` is what decoding it must give."""

    name: str
    why: str
    expected: object
    encode: Callable[[], bytes]
    decode: Callable[[bytes], object]

    @property
    def path(self) -> Path:
        return FOLDER / self.name


def _message(name: str, why: str, message: Message) -> Case:
    return Case(f"{name}.bin", why, message, message.to_bytes, type(message).from_bytes)


def _headers(name: str, why: str, expected: object, headers: Headers, decode: Callable[[Headers], object]) -> Case:
    text = "".join(f"{header}\t{value.hex()}\n" for header, value in headers)
    return Case(f"{name}.headers", why, expected, text.encode, lambda content: decode(_parsed(content)))


def _parsed(content: bytes) -> Headers:
    pairs = [line.split("\t") for line in content.decode().splitlines()]
    return tuple((name, bytes.fromhex(value)) for name, value in pairs)


def _embedding(rows: Rows, precision: Precision) -> Embedding:
    pooled = rows is Rows.POOLED
    values = [[0.5, -1.25, 3.0, 0.0]] if pooled else [[0.01 * row, -1.0, row, 127.0] for row in range(len(WORDS))]
    return Embedding(
        space=SPACE,
        encoder=ENCODER,
        view=View(rows, (6,) if rows is Rows.TOKENS else (3, 4, 5, 6)),
        tensor=to_tensor(np.array(values, np.float32), precision),
        spans=b"" if pooled else pack_spans(WORDS),
        shapes=b"" if pooled else word_shapes(TEXT, WORDS),
        timing=TIMINGS.encoder,
        truncation=Truncation(tokens=312, kept=250) if rows is Rows.TOKENS else None,
    )


def _prediction() -> Prediction:
    return Prediction(
        intents=(Intent(name="transfer", confidence=0.875), Intent(name="balance", confidence=0.0625)),
        entities=(
            EntitySpan(label="amount", start=5, end=13, confidence=0.75),
            EntitySpan(label="account", start=20, end=27, confidence=1.0),
        ),
        versions=Versions(head=HEAD, encoder=ENCODER, space=SPACE),
        timings=TIMINGS,
        truncation=Truncation(tokens=312, kept=250),
    )


def _failure() -> Failure:
    details: dict[str, Detail] = {"claimed": 2**128, "limit": 2**20, "share": 0.5, "whole": False, "header": "tenant"}
    return Failure.of(WireError(ErrorCode.TENSOR_TOO_LARGE, "a tensor is too large: größer als erlaubt", **details))


REGISTRY: dict[bytes, RegistryRecord] = {
    b"ring/en": RingRecord(ring=EN, encoder=ENCODER, cells=(C0, names.cell("c1"))),
    b"encoder/en/20261121-3f9a": EncoderRecord(
        ring=EN,
        version=ENCODER,
        space=SPACE,
        layers=6,
        width=384,
        views=(View.parse("pooled:3,4,5,6"), View.parse("words:3,4,5,6")),
        max_tokens=250,
        artifacts=(
            ArtifactRef(name="model.onnx", sha256="0123456789abcdef" * 4, bytes=23_000_000),
            ArtifactRef(name="tokenizer.json", sha256="fedcba9876543210" * 4, bytes=711_396),
        ),
    ),
    b"head/en/acme-bank/7": HeadRecord(
        ring=EN,
        tenant=ACME,
        version=HEAD,
        space=SPACE,
        view=View.parse("words:3,4,5,6"),
        artifact=ArtifactRef(name="head.onnx", sha256="0" * 64, bytes=300_000),
    ),
    b"placement/en/acme-bank": PlacementRecord(
        ring=EN, tenant=ACME, cell=C0, head=HEAD, spread=4, precision=WirePrecision.FLOAT16
    ),
}

ENVELOPE = Envelope(
    ACME,
    ReplyAddress(bytes(range(16)), "nlu.replies", 3),
    1_795_000_000_000,
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)
EMBEDDING_ENVELOPE = replace(ENVELOPE, requested_ms=1_794_999_990_123)
TRACED_ENVELOPE = replace(ENVELOPE, tracestate="congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
SHARED_ENVELOPE = replace(
    ENVELOPE,
    further=(Target(names.tenant("plain-shop"), b"\x00:\xff"), Target(names.tenant("a"), bytes(range(16, 32)))),
)
# As examples/java-spring was seen to send them.
SPRING_HEADERS: Headers = (
    ("tenant", b"acme-bank"),
    ("deadline", b"1795277798510"),
    ("kafka_replyTopic", b"nlu.replies"),
    ("kafka_replyPartition", b"\x00\x00\x00\x06"),
    ("kafka_correlationId", bytes.fromhex("e2b7e744d5ad469a9f6c4b2567e27175")),
)
SPRING_ENVELOPE = Envelope(
    ACME, ReplyAddress(bytes.fromhex("e2b7e744d5ad469a9f6c4b2567e27175"), "nlu.replies", 6), 1_795_277_798_510
)
BARE_ENVELOPE = Envelope(ACME, ReplyAddress(b"\xff", "java.replies"))
REASON = DeadLetterReason("nlu.en.requests", 5, 2**33, "text_empty", "the text is empty: größer als nichts")

ENCODER_REPORT = WorkerReport(
    worker=WorkerIdentity(
        instance="encoder-0",
        host="node-7",
        pid=42,
        stage="encoder",
        ring=EN,
        package="0.2.0",
        started_ms=1_795_000_000_000,
    ),
    state=WorkerState.READY,
    at_ms=1_795_000_060_000,
    interval_ms=2_000,
    rss_bytes=250_000_000,
    models={"encoder": ENCODER, "space": SPACE},
    lanes=(
        LaneReport(
            lane=Lane.INTERACTIVE,
            topic="nlu.en.requests",
            partitions=(0, 3),
            preparing=(3,),
            in_flight=5,
            outcomes={"ok": 3, "text_empty": 1},
            dead_letters={"text_empty": 1},
            batches=2,
            tokens=77,
            queue=Sketch.of([0.001, 1.0, 5.5, 5.5]),
            compute=Sketch.of([3.25, 12.0]),
            publish=Sketch.of([2.0, 2.0, 2.0, 2.0]),
            total=Sketch.of([9.0, 10.0, 99.0, 1e8]),
            tenants={
                ACME: TenantCounts(requests=1, errors=1, total=Sketch.of([99.0])),
                names.tenant("other"): TenantCounts(requests=2**40),
            },
        ),
        LaneReport(lane=Lane.BATCH, topic="nlu.en.requests.batch"),
    ),
)
STARTING_REPORT = WorkerReport(
    worker=WorkerIdentity(
        instance="a1b2c3",
        host="node-8",
        pid=7,
        stage="head",
        ring=EN,
        cell=C0,
        package="0.2.0",
        started_ms=1_795_000_000_000,
    ),
    state=WorkerState.STARTING,
    waits_for="registry: it is being read",
    at_ms=1_795_000_000_100,
    interval_ms=100,
    rss_bytes=90_000_000,
    heads=HeadsReport(loaded=0, bytes=0),
)
HALTED_REPORT = STARTING_REPORT.model_copy(
    update={
        "state": WorkerState.READY,
        "waits_for": "",
        "registry_behind": 3,
        "lanes": (LaneReport(lane=Lane.BATCH, topic="nlu.en.c0.embeddings.batch", halted="50 of 50 records failed"),),
    }
)

CASES: tuple[Case, ...] = (
    _message("request", "an ordinary text", Request(text=TEXT)),
    _message("request-shared", "a text for several tenants: version 2 of the same map", SharedRequest(text=TEXT)),
    _message("request-unicode", "characters of 2, 3 and 4 bytes, and white space", Request(text="né 語 😀\tx\n")),
    *(
        _message(
            f"embedding-{rows}-{precision.label}",
            f"the {rows} view as {precision.label}" + (", of a text that was cut" if rows is Rows.TOKENS else ""),
            _embedding(rows, precision),
        )
        for rows in Rows
        for precision in Precision
    ),
    _message("reply-prediction", "two intents, two entities, of a text that was cut", Reply(prediction=_prediction())),
    _message(
        "reply-prediction-least",
        "as little as a prediction can have",
        Reply(prediction=_prediction().model_copy(update={"entities": (), "truncation": None})),
    ),
    _message("reply-failure", "details of every type, a number beyond 64 bits among them", Reply(failure=_failure())),
    *(
        _message(f"registry-{record.kind}", f"the record under the key {key.decode()}", record)
        for key, record in REGISTRY.items()
    ),
    _message(
        "registry-placement-inactive",
        "a tenant without an active head, everything else by default",
        PlacementRecord(ring=EN, tenant=ACME, cell=C0),
    ),
    _message(
        "registry-placement-transient",
        "a tenant whose embeddings are not retained",
        PlacementRecord(ring=EN, tenant=ACME, cell=C0, head=HEAD, transient=True),
    ),
    _headers("envelope", "everything that a request can say", ENVELOPE, ENVELOPE.to_headers(), Envelope.from_headers),
    _headers(
        "envelope-embedding",
        "what the encoder stage adds: when the request was made",
        EMBEDDING_ENVELOPE,
        EMBEDDING_ENVELOPE.to_headers(),
        Envelope.from_headers,
    ),
    _headers(
        "envelope-tracestate",
        "a trace with what its tracing system adds to it",
        TRACED_ENVELOPE,
        TRACED_ENVELOPE.to_headers(),
        Envelope.from_headers,
    ),
    _headers(
        "envelope-shared",
        "a request for three tenants; one id holds a colon",
        SHARED_ENVELOPE,
        SHARED_ENVELOPE.to_headers(),
        Envelope.from_headers,
    ),
    _headers(
        "envelope-least",
        "as a Java service with a ReplyingKafkaTemplate may send it: no partition, no deadline, no trace",
        BARE_ENVELOPE,
        BARE_ENVELOPE.to_headers(),
        Envelope.from_headers,
    ),
    _headers(
        "envelope-spring",
        "a request of Spring Kafka 4.1's ReplyingKafkaTemplate",
        SPRING_ENVELOPE,
        SPRING_HEADERS,
        Envelope.from_headers,
    ),
    _headers(
        "reply",
        "a reply's id, content type and trace",
        reply_headers(ENVELOPE.reply, ENVELOPE.traceparent),
        reply_headers(ENVELOPE.reply, ENVELOPE.traceparent),
        tuple,
    ),
    _message(
        "report-encoder", "an encoder worker under load, both lanes, tenants with and without a sketch", ENCODER_REPORT
    ),
    _message("report-head-starting", "a head worker that has only just begun", STARTING_REPORT),
    _message("report-head-halted", "a head worker whose batch lane has halted", HALTED_REPORT),
    _headers("dead-letter", "why, and from where", REASON, REASON.to_headers(), DeadLetterReason.from_headers),
)
