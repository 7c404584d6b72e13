"""tracing: what traces cost a worker's loop and a client's calls, in CPU time.

The stage loop over Kafka in memory, in batches of 64, with a stage that computes nothing; the client over the pipeline
in memory. Both do so little else that these are the worst ratios there can be. Each round takes every way in turn:
without OpenTelemetry; with it, but no provider; and with one that samples 1% or everything and encodes what it exports.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from unittest import mock

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.report import Verdict
from manyheads.infra.kafka.memory import MemoryKafka
from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.stage.observer import StageObserver
from manyheads.infra.stage.options import LaneInput
from manyheads.infra.stage.tracing import StageTracing
from manyheads.infra.stage.work import Answer, Job, Outcome
from manyheads.infra.stage.worker import StageWorker
from manyheads.producers import spans
from manyheads.producers.testing import FakeNlu, Says
from manyheads.topics.headers import Envelope, ReplyAddress
from manyheads.topics.names import REPLIES_TOPIC, Lane, dead_letter_topic, requests_topic, ring, tenant

RECORDS, CALLS, ROUNDS = 512, 128, 20
GOAL = 0.97
EN, ACME = ring("en"), tenant("acme-bank")
TOPIC = requests_topic(EN)


class _Encoded(SpanExporter):
    """Encodes spans as OTLP and sends them nowhere."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


class _Nothing:
    """A stage that computes nothing."""

    name = "encoder"

    def process(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        for index in range(len(jobs)):
            yield index, Answer(b"answer")

    def assigned(self, topic: str, partitions: Sequence[int], partition_count: int) -> None:
        pass

    def revoked(self, topic: str, partitions: Sequence[int]) -> None:
        pass

    def prepare(self, budget_s: float) -> bool:
        return True


def _loop_us(provider: TracerProvider | None) -> float:
    """CPU of one record through a stage's loop, in microseconds."""
    kafka = MemoryKafka({TOPIC: 1, dead_letter_topic(TOPIC): 1, REPLIES_TOPIC: 1})
    tracing = None if provider is None else StageTracing(provider.get_tracer("benchmark"))
    worker = StageWorker(
        kafka,
        _Nothing(),
        [LaneInput(Lane.INTERACTIVE, EN, TOPIC, "benchmark")],
        observer=StageObserver(tracing=tracing),
    )
    worker.open()
    worker.step()
    for number in range(RECORDS):
        # Its sender leaves it to this worker whether to sample.
        headers = Envelope(ACME, ReplyAddress(b"%d" % number, REPLIES_TOPIC, 0)).to_headers()
        kafka.write(Outgoing(TOPIC, b"value", headers=headers))
    began = time.process_time()
    taken = 0
    while taken < RECORDS:
        taken += worker.step()
    worker.close()
    return (time.process_time() - began) / RECORDS * 1e6


def _call_us(provider: TracerProvider | None) -> float:
    """CPU of one call of a client, in microseconds."""

    async def calls() -> float:
        async with FakeNlu(lambda _: Says("balance")).client() as client:
            began = time.process_time()
            await asyncio.gather(*(client.predict(ACME, "what is my balance") for _ in range(CALLS)))
            return (time.process_time() - began) / CALLS * 1e6

    if provider is None:
        return asyncio.run(calls())
    with mock.patch.object(spans, "get_tracer_provider", return_value=provider):
        return asyncio.run(calls())


@contextmanager
def _absent() -> Iterator[None]:
    """As in a process that never imported OpenTelemetry."""
    hidden: ModuleType = sys.modules.pop("opentelemetry.trace")
    yield
    sys.modules["opentelemetry.trace"] = hidden


def _provider(share: float) -> TracerProvider:
    provider = TracerProvider(ParentBasedTraceIdRatio(share), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Encoded(), max_queue_size=10 * RECORDS))
    return provider


def _measured(what: Callable[[TracerProvider | None], float], share: float | None) -> float:
    if share is None:
        return what(None)
    provider = _provider(share)
    cost = what(provider)
    began = time.process_time()
    provider.shutdown()
    return cost + (time.process_time() - began) / (RECORDS if what is _loop_us else CALLS) * 1e6


def run(arguments: list[str]) -> int:
    """Print the table and the verdict. Takes no options."""
    if arguments:
        print("tracing takes no options")
        return 2
    console = Console(width=100)
    ways: dict[str, float | None] = {"installed, not configured": None, "1% sampled": 0.01, "100% sampled": 1.0}
    costs: dict[tuple[str, str], list[float]] = {}
    for _ in track(range(ROUNDS), description="rounds", console=console, transient=True):
        for what, measure in (("record", _loop_us), ("call", _call_us)):
            with _absent():
                costs.setdefault((what, "absent"), []).append(measure(None))
            for way, share in ways.items():
                costs.setdefault((what, way), []).append(_measured(measure, share))
    table = Table(title="CPU of a record in a stage's loop, and of a call in a client; rate against absent")
    for heading in ("OpenTelemetry", "us a record", "rate", "us a call", "rate"):
        table.add_column(heading, justify="left" if heading == "OpenTelemetry" else "right")
    rates: dict[tuple[str, str], float] = {}
    for way in ("absent", *ways):
        row = [way]
        for what in ("record", "call"):
            # Whatever else runs on the machine only ever adds to a round: the least is the truest.
            least = min(costs[what, way])
            rates[what, way] = min(costs[what, "absent"]) / least
            row += [f"{least:.1f}", f"{rates[what, way]:.1%}"]
        table.add_row(*row)
    console.print(table)
    worst = min(rates["record", "installed, not configured"], rates["call", "installed, not configured"])
    sampled = rates["record", "1% sampled"], rates["record", "100% sampled"]
    figure = f"{worst:.1%}; without any compute {sampled[0]:.1%} at 1% and {sampled[1]:.1%} at 100% sampled"
    print(Verdict("tracing", worst >= GOAL, figure, f"{GOAL:.0%} where not configured").line())
    return 0
