"""The demo's traffic through the SDK, and its tables: for a stack of its own, and for one that runs elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from manyheads.cli.demo.kill import Sabotage
from manyheads.cli.demo.load import Asked, LoadResult, send_all, shuffled_requests
from manyheads.cli.demo.report import (
    LoadRow,
    ModelBytes,
    Sample,
    TenantRow,
    print_bytes,
    print_load,
    print_samples,
    print_tenants,
    print_versions,
)
from manyheads.cli.demo.scores import score
from manyheads.cli.demo.utterances import TenantExamples
from manyheads.cli.steps import counting
from manyheads.cli.trainers import Taught
from manyheads.encoder_worker.build.minilm import minilm_file
from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Answer, Client
from manyheads.topics.names import RingName
from manyheads.topics.registry import EncoderRecord

_IN_FLIGHT = 32


@dataclass(frozen=True, slots=True)
class Traffic:
    """What to send, and to whom."""

    kafka: KafkaSettings
    ring: RingName
    tenants: Sequence[Taught]
    requests: int
    timeout_s: float

    @property
    def examples(self) -> list[TenantExamples]:
        return [each.examples for each in self.tenants]


@dataclass(frozen=True, slots=True)
class Served:
    """What came back through Kafka."""

    samples: Sequence[Sample]
    load: LoadResult
    killed: Sequence[str] = ()


async def serve(traffic: Traffic, out: Console, sabotage: Sabotage | None = None) -> Served:
    """Send some utterances one at a time, then all requests, with a progress bar. Raises ManyheadsError."""
    requests = shuffled_requests(traffic.examples, traffic.requests)
    async with Client(traffic.kafka, ring=traffic.ring, timeout=traffic.timeout_s) as client:
        samples = [Sample(asked.example.text, await _ask(client, asked)) for asked in _samples(traffic.examples)]
        with counting(out, "Requests", len(requests)) as count:

            def on_result(results: int) -> None:
                count(results)
                if sabotage is not None:
                    sabotage.on_result(results)

            load = await send_all(
                client, requests, in_flight=_IN_FLIGHT, timeout_s=traffic.timeout_s, on_result=on_result
            )
        killed = () if sabotage is None else await sabotage.finish()
    return Served(samples, load, killed)


def report(traffic: Traffic, encoder: EncoderRecord, served: Served, where: str, out: Console) -> None:
    """Print the demo's tables; ``where`` says on what it ran."""
    load = served.load
    print_samples(out, served.samples)
    print_tenants(out, [_row(each, load) for each in traffic.tenants])
    latencies = [answer.latency_ms for _, answer in load.answers]
    print_load(out, LoadRow(load.sent, latencies, load.seconds, _IN_FLIGHT, load.errors, served.killed), where)
    encoder_bytes = sum(artifact.bytes for artifact in encoder.artifacts)
    float32_bytes = minilm_file("model.safetensors").stat().st_size
    heads = [each.head.artifact.bytes for each in traffic.tenants]
    print_bytes(out, ModelBytes(heads, encoder_bytes, float32_bytes))
    versions = [answer.versions for _, answer in load.answers]
    by_tenant = sorted({(asked.tenant, answer.versions.head) for asked, answer in load.answers})
    print_versions(out, sorted({found.encoder for found in versions}), by_tenant)
    out.print()


async def _ask(client: Client, asked: Asked) -> Answer:
    return await client.predict(asked.tenant, asked.example.text)


def _samples(tenants: Sequence[TenantExamples]) -> list[Asked]:
    """Of each tenant the held-out utterance with the most entities: the first one of those."""
    return [Asked(tenant.tenant, max(tenant.held_out, key=lambda example: len(example.entities))) for tenant in tenants]


def _row(each: Taught, load: LoadResult) -> TenantRow:
    return TenantRow(
        tenant=each.examples.tenant,
        intents=len(each.examples.intents),
        entity_labels=len(each.examples.entity_labels),
        trained_on=len(each.examples.train),
        head_bytes=each.head.artifact.bytes,
        offline=each.held_out,
        served=score(load.scored(each.examples.tenant)),
    )
