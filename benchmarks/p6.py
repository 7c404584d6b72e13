"""p6: bytes per request on each topic, at each precision, for 15 tokens x 768.

Real messages through the real codec, with all their headers, onto topics of a real broker; the size on disk is what
the broker's log segments hold, divided by the records.
"""

import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from benchmarks.report import Verdict
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker import EmbeddedKafka
from manyheads.topics import headers, names
from manyheads.topics.arrays import to_tensor
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.messages import (
    Embedding,
    EntitySpan,
    Intent,
    Message,
    Prediction,
    Reply,
    Request,
    StageTiming,
    Timings,
    Versions,
)
from manyheads.topics.spans import pack_spans, word_shapes
from manyheads.topics.tensor import Precision
from manyheads.topics.views import View

RECORDS = 1_000
TOKENS, WIDTH = 15, 768
ARTICLE_KB = 45.0
GOAL_TOKENS_KB, GOAL_POOLED_KB = 11.7, 0.8

TEXT = "please move forty euros from my current account to my savings account this afternoon"


@dataclass(frozen=True, slots=True)
class Sized:
    """One kind of record: its value, and its share of the broker's log."""

    name: str
    value_bytes: int
    stored_bytes: float


def _spans() -> tuple[tuple[int, int], ...]:
    spans, position = [], 0
    for word in TEXT.split():
        spans.append((position, position + len(word)))
        position += len(word) + 1
    # 14 words; the article's 15th token is a second wordpiece of the last word.
    start, end = spans.pop()
    return (*spans, (start, end - 2), (end - 2, end))


def _messages() -> dict[str, Message]:
    rng = np.random.default_rng(0)
    timing = StageTiming(queue_ms=1.234, compute_ms=2.345)
    versions = Versions(
        head=names.version("20261121-3f9a"), encoder=names.version("20261121-01"), space=names.space("article-6x768")
    )

    def embedding(view: str, shape: tuple[int, int], precision: Precision) -> Embedding:
        spans = _spans() if shape[0] == TOKENS else ()
        return Embedding(
            space=versions.space,
            encoder=versions.encoder,
            view=View.parse(view),
            tensor=to_tensor(rng.standard_normal(shape, dtype=np.float32), precision),
            spans=pack_spans(spans),
            shapes=word_shapes(TEXT, spans),
            timing=timing,
        )

    messages: dict[str, Message] = {"request": Request(text=TEXT)}
    for precision in Precision:
        messages[f"tokens {precision.label}"] = embedding("tokens:6", (TOKENS, WIDTH), precision)
    for precision in Precision:
        messages[f"pooled {precision.label}"] = embedding("pooled:6", (1, WIDTH), precision)
    messages["reply"] = Reply(
        prediction=Prediction(
            intents=(Intent(name="transfer", confidence=0.97), Intent(name="balance", confidence=0.02)),
            entities=(EntitySpan(label="amount", start=12, end=23, confidence=0.98),),
            versions=versions,
            timings=Timings(encoder=timing, head=timing),
        )
    )
    return messages


def _envelope(now_ms: int) -> headers.Headers:
    address = headers.ReplyAddress(secrets.token_bytes(16), names.REPLIES_TOPIC, 3)
    return headers.Envelope(names.tenant("acme-bank"), address, deadline_ms=now_ms + 10_000).to_headers()


def _log_bytes(data_dir: Path, topic: str) -> int:
    logs = [log for folder in data_dir.rglob(f"{topic}-0") for log in folder.glob("*.log")]
    return sum(log.stat().st_size for log in logs)


def measure(kafka: EmbeddedKafka, data_dir: Path) -> list[Sized]:
    """The sizes of every kind of record, from the broker's own log segments."""
    messages = _messages()
    topics = {name: f"p6.{name.replace(' ', '-')}" for name in messages}
    with TopicAdmin(kafka.settings()) as admin:
        admin.ensure([TopicSpec(topic, 1, {"max.message.bytes": "4194304"}) for topic in topics.values()])
    producer = Producer(kafka.settings().confluent() | {"linger.ms": 0, "batch.num.messages": 1})
    sized = []
    for name, message in messages.items():
        value = message.to_bytes()
        reply = name == "reply"
        for _ in range(RECORDS):
            envelope = _envelope(int(time.time() * 1000))
            record_headers = (
                headers.reply_headers(headers.ReplyAddress(secrets.token_bytes(16), names.REPLIES_TOPIC))
                if reply
                else envelope
            )
            key = b"acme-bank" if name.startswith(("tokens", "pooled")) else None
            producer.produce(topics[name], value, key, headers=list(record_headers))
            producer.poll(0)
        producer.flush()
        sized.append(Sized(name, len(value), _log_bytes(data_dir, topics[name]) / RECORDS))
    return sized


def run(arguments: list[str]) -> int:
    """Print the table and the verdicts. Takes no options."""
    if arguments:
        print("p6 takes no options")
        return 2
    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka(data_dir=Path(folder)) as kafka:
        sized = measure(kafka, Path(folder))
    table = Table(title=f"Bytes per request, {TOKENS} tokens x {WIDTH}; each record a batch of its own (worst case)")
    for heading in ("record", "value", "on the broker's disk", "of the article's 45 KB"):
        table.add_column(heading, justify="left" if heading == "record" else "right")
    for row in sized:
        share = f"{row.stored_bytes / (ARTICLE_KB * 1000):.1%}" if row.name.startswith(("tokens", "pooled")) else ""
        table.add_row(row.name, f"{row.value_bytes:,}", f"{row.stored_bytes:,.0f}", share)
    Console(width=100).print(table)
    values = {row.name: row.value_bytes / 1000 for row in sized}
    tokens, pooled = values["tokens int8"], values["pooled int8"]
    # The goals have one digit after the point, and so has the comparison.
    passed = round(tokens, 1) <= GOAL_TOKENS_KB and round(pooled, 1) <= GOAL_POOLED_KB
    verdict = Verdict(
        "p6",
        passed,
        f"{tokens:.2f} KB tokens, {pooled:.2f} KB pooled, as int8",
        f"{GOAL_TOKENS_KB} KB tokens, {GOAL_POOLED_KB} KB pooled",
    )
    print(verdict.line())
    return 0
