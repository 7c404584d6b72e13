"""``demo``: the whole pipeline once, from an empty machine to a table of answers."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

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
from manyheads.cli.demo.utterances import TenantExamples, load_tenants
from manyheads.cli.encoder import summary
from manyheads.cli.interrupts import Interrupts
from manyheads.cli.local_ring import LocalRing
from manyheads.cli.steps import console, counting, step
from manyheads.cli.trainers import Taught, Trainers
from manyheads.encoder_worker.build import build_minilm
from manyheads.encoder_worker.build.minilm import minilm_file
from manyheads.infra.broker.jars import class_path, locked_jars
from manyheads.infra.local import LocalStack, encoder_worker, head_worker
from manyheads.infra.process import Guard
from manyheads.producers import Answer, Client
from manyheads.topics.names import cell as cell_name
from manyheads.topics.names import ring as ring_name

RING = ring_name("en")
CELL = cell_name("c0")
_HEAD_WORKERS = 2
_IN_FLIGHT = 32
_TIMEOUT_S = 30.0
_TIMEOUT_WITH_KILLS_S = 120.0
_VICTIMS = (0, 1)
"""The encoder worker and one of the head workers."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo does."""

    requests: int
    kill: bool
    keep: Path | None


@dataclass(frozen=True, slots=True)
class Served:
    """What came back through Kafka."""

    samples: Sequence[Sample]
    load: LoadResult
    killed: Sequence[str]


def run_demo(options: DemoOptions) -> None:
    """Run it. Raises ManyheadsError; whatever happens, nothing is left behind."""
    out = console()
    out.print()
    with Interrupts() as interrupts, ExitStack() as resources:
        try:
            with interrupts.unwinding():
                _demo(options, out, interrupts, resources)
        finally:
            with step(out, "Stopping everything") as current:
                resources.close()
                kept = "" if options.keep is None else f"; {options.keep} keeps topics, models and logs"
                current.done = f"Stopped: no process and no port is left{kept}"


def _demo(options: DemoOptions, out: Console, interrupts: Interrupts, resources: ExitStack) -> None:
    tenants = load_tenants()
    local = _start_ring(options, out, resources)
    stack = local.stack
    with Trainers(local, tenants) as trainers:
        # Workers follow the registry: a head that is registered later is served without a restart.
        with step(out, "Starting the workers") as current:
            stack.workers.start(encoder_worker(RING), *[head_worker(RING, CELL)] * _HEAD_WORKERS)
            current.done = f"1 encoder worker and {_HEAD_WORKERS} head workers, a process each"
        taught = _teach(trainers, tenants, out)
    served = interrupts.run(_serve(options, stack, tenants, out))
    _report(local, taught, served, out)


def _start_ring(options: DemoOptions, out: Console, resources: ExitStack) -> LocalRing:
    """Kafka starts while the encoder is built."""
    with step(out, "Fetching Apache Kafka (45 MB, the first time only)") as current:
        class_path()
        current.done = f"Apache Kafka {_kafka_version()}, from its own jars"
    # The guard's temporary folder is deleted whatever happens to this process, and whenever.
    with Guard() as guard, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(resources.enter_context, LocalStack(options.keep))
        with step(out, "Building the encoder from real weights") as current:
            build = build_minilm(guard.folder, current.tell)
            current.done = f"Encoder {summary(build.record(RING), build)}"
        with step(out, "Starting Kafka") as current:
            local = resources.enter_context(LocalRing(starting.result(), RING, (CELL,)))
            local.install(lambda _: build)
            current.done = f"Kafka at {local.stack.kafka.bootstrap_servers}"
    return local


def _teach(trainers: Trainers, tenants: Sequence[TenantExamples], out: Console) -> list[Taught]:
    taught: list[Taught] = []
    with step(out, "Training heads") as current:
        for each in trainers.taught():
            taught.append(each)
            current.tell(f"Training heads: {len(taught)} of {len(tenants)}")
        trained = sum(len(examples.train) for examples in tenants)
        held_out = sum(len(examples.held_out) for examples in tenants)
        current.done = f"{len(tenants)} heads trained on {trained:,} utterances, scored on {held_out:,} others"
    return sorted(taught, key=lambda each: each.examples.tenant)


async def _serve(options: DemoOptions, stack: LocalStack, tenants: Sequence[TenantExamples], out: Console) -> Served:
    timeout_s = _TIMEOUT_WITH_KILLS_S if options.kill else _TIMEOUT_S
    requests = shuffled_requests(tenants, options.requests)
    async with Client(stack.settings, ring=RING, timeout=timeout_s) as client:
        samples = [Sample(asked.example.text, await _ask(client, asked)) for asked in _samples(tenants)]
        sabotage = Sabotage(stack.workers, _VICTIMS, len(requests) // 3) if options.kill else None
        with counting(out, "Requests", len(requests)) as count:

            def on_result(results: int) -> None:
                count(results)
                if sabotage is not None:
                    sabotage.on_result(results)

            load = await send_all(client, requests, in_flight=_IN_FLIGHT, timeout_s=timeout_s, on_result=on_result)
        killed = () if sabotage is None else await sabotage.finish()
    return Served(samples, load, killed)


async def _ask(client: Client, asked: Asked) -> Answer:
    return await client.predict(asked.tenant, asked.example.text)


def _samples(tenants: Sequence[TenantExamples]) -> list[Asked]:
    """Of each tenant the held-out utterance with the most entities: the first one of those."""
    return [Asked(tenant.tenant, max(tenant.held_out, key=lambda example: len(example.entities))) for tenant in tenants]


def _report(local: LocalRing, taught: Sequence[Taught], served: Served, out: Console) -> None:
    load = served.load
    print_samples(out, served.samples)
    print_tenants(
        out,
        [
            TenantRow(
                tenant=each.examples.tenant,
                intents=len(each.examples.intents),
                entity_labels=len(each.examples.entity_labels),
                trained_on=len(each.examples.train),
                head_bytes=each.head.artifact.bytes,
                offline=each.held_out,
                served=score(load.scored(each.examples.tenant)),
            )
            for each in taught
        ],
    )
    latencies = [answer.latency_ms for _, answer in load.answers]
    print_load(
        out,
        LoadRow(load.sent, latencies, load.seconds, _IN_FLIGHT, load.errors, served.killed),
        os.cpu_count() or 1,
    )
    assert local.encoder is not None
    encoder_bytes = sum(artifact.bytes for artifact in local.encoder.artifacts)
    float32_bytes = minilm_file("model.safetensors").stat().st_size
    heads = [each.head.artifact.bytes for each in taught]
    print_bytes(out, ModelBytes(heads, encoder_bytes, float32_bytes))
    versions = [answer.versions for _, answer in load.answers]
    by_tenant = sorted({(asked.tenant, answer.versions.head) for asked, answer in load.answers})
    print_versions(out, sorted({found.encoder for found in versions}), by_tenant)
    out.print()


def _kafka_version() -> str:
    return next(jar.version for jar in locked_jars() if jar.artifact == "kafka-clients")
