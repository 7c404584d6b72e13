"""p1: the encoder worker through Kafka against the same encoder called in process, on the same texts.

The same int8 graph (random weights, 6 layers x 768), one thread each, taken in turn: the texts in process, as many at
a time as the worker takes; then the texts as requests on Kafka, through a running worker process. The worker's rate
is read off the broker: from the first embedding's timestamp to the last's. The broker has the other core.
"""

import statistics
import time
from collections.abc import Sequence

from confluent_kafka import Consumer, Producer, TopicPartition
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.article import CELL, RING, running_article
from benchmarks.corpus import mixed_texts
from benchmarks.report import Verdict
from manyheads.encoder_worker import EncoderModel, TextItem
from manyheads.infra.local import LocalStack
from manyheads.infra.stage.options import StageOptions
from manyheads.topics.headers import Envelope, ReplyAddress
from manyheads.topics.messages import Request
from manyheads.topics.names import REPLIES_TOPIC, TenantName, embeddings_topic, requests_topic
from manyheads.topics.registry import EncoderRecord
from manyheads.topics.views import View

TEXTS, ROUNDS = 2_000, 5
GOAL = 0.95


class ThroughKafka:
    """Sends texts as requests and reads when their embeddings were written."""

    def __init__(self, stack: LocalStack, tenant: TenantName) -> None:
        settings = stack.settings.confluent()
        self._tenant = tenant
        self._producer = Producer(settings | {"linger.ms": 5})
        self._consumer = Consumer(settings | {"group.id": "p1", "enable.auto.commit": False})
        topic = embeddings_topic(RING, CELL)
        partitions = self._consumer.list_topics(topic, 10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in partitions])

    def rate(self, texts: Sequence[str]) -> float:
        """Embeddings/s of the worker for these texts; returns once the last is there."""
        for number, text in enumerate(texts):
            envelope = Envelope(self._tenant, ReplyAddress(number.to_bytes(16, "big"), REPLIES_TOPIC))
            headers: list[tuple[str, str | bytes | None]] = [*envelope.to_headers()]
            self._producer.produce(requests_topic(RING), Request(text=text).to_bytes(), headers=headers)
        self._producer.flush()
        stamps: list[int] = []
        while len(stamps) < len(texts):
            stamps += [
                message.timestamp()[1] for message in self._consumer.consume(500, 1.0) if message.error() is None
            ]
        return (len(stamps) - 1) / ((max(stamps) - min(stamps)) / 1000)

    def close(self) -> None:
        """Let go of both clients, before the broker ends."""
        self._consumer.close()
        del self._producer


def _in_process(stack: LocalStack, record: EncoderRecord, texts: Sequence[str], view: View) -> float:
    files = {each.name: stack.store.fetch(each) for each in record.artifacts}
    model = EncoderModel.load(record, files)
    take = StageOptions().max_take
    items = [TextItem(text, view) for text in texts]
    for _ in model.encode(items[:take]):
        pass
    start = time.perf_counter()
    for first in range(0, len(items), take):
        for _ in model.encode(items[first : first + take]):
            pass
    return len(items) / (time.perf_counter() - start)


def run(arguments: list[str]) -> int:
    """Print the rounds and the verdict. Takes no options."""
    if arguments:
        print("p1 takes no options")
        return 2
    console = Console(width=100)
    texts, source = mixed_texts(TEXTS)
    view = View.parse("tokens:6")
    rounds: list[tuple[float, float]] = []
    with running_article(console, tenants=1, head_workers=0) as article:
        stack, (tenant,) = article.stack, article.tenants
        kafka = ThroughKafka(stack, tenant)
        kafka.rate(texts[:200])
        for _ in track(range(ROUNDS), description="rounds", console=console, transient=True):
            rounds.append((_in_process(stack, article.encoder, texts, view), kafka.rate(texts)))  # noqa: PERF401 - in turn
        kafka.close()
    table = Table(title=f"Texts/s, one thread; {TEXTS:,} {source}; random-6x768 int8, tokens as int8")
    for heading in ("round", "in process", "through Kafka", "share"):
        table.add_column(heading, justify="right")
    for number, (alone, through) in enumerate(rounds, start=1):
        table.add_row(str(number), f"{alone:,.0f}", f"{through:,.0f}", f"{through / alone:.1%}")
    console.print(table)
    share = statistics.median(through / alone for alone, through in rounds)
    through = statistics.median(through for _, through in rounds)
    verdict = Verdict("p1", share >= GOAL, f"{share:.1%}, {through:,.0f} texts/s", f"{GOAL:.0%}")
    print(verdict.line())
    return 0
