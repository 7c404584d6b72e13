"""``demo``: the whole pipeline once, from an empty machine to a table of answers."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from manyheads.cli.demo.kill import Sabotage
from manyheads.cli.demo.serving import Traffic, report, serve
from manyheads.cli.demo.utterances import TenantExamples, load_tenants
from manyheads.cli.encoder import summary
from manyheads.cli.interrupts import Interrupts
from manyheads.cli.ring_setup import RingSetup
from manyheads.cli.running import print_hints, start_dashboard, wait_for_interrupt
from manyheads.cli.seed import CELL, RING
from manyheads.cli.steps import console, step
from manyheads.cli.trainers import Taught, Trainers
from manyheads.encoder_worker.build import build_minilm
from manyheads.infra.broker.jars import class_path, locked_jars
from manyheads.infra.local import LocalStack, encoder_worker, head_worker
from manyheads.infra.process import Guard

_HEAD_WORKERS = 2
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
    stay: bool = False


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
    stack, ring = _start_ring(options, out, resources)
    with Trainers(ring, stack.workers.store, tenants) as trainers:
        # Workers follow the registry: a head that is registered later is served without a restart.
        with step(out, "Starting the workers") as current:
            stack.workers.start(encoder_worker(RING), *[head_worker(RING, CELL)] * _HEAD_WORKERS)
            current.done = f"1 encoder worker and {_HEAD_WORKERS} head workers, a process each"
        taught = _teach(trainers, tenants, out)
    timeout_s = _TIMEOUT_WITH_KILLS_S if options.kill else _TIMEOUT_S
    traffic = Traffic(stack.settings, RING, taught, options.requests, timeout_s)
    sabotage = Sabotage(stack.workers, _VICTIMS, options.requests // 3) if options.kill else None
    served = interrupts.run(serve(traffic, out, sabotage))
    assert ring.encoder is not None
    report(traffic, ring.encoder, served, f"everything on {os.cpu_count() or 1} cores", out)
    if options.stay:
        url = start_dashboard(stack.settings, out, resources)
        print_hints(out, url, _commands(stack))
        wait_for_interrupt(stack)


def _commands(stack: LocalStack) -> tuple[str, ...]:
    servers = f"-b {stack.kafka.bootstrap_servers}"
    return (
        f'manyheads ask {servers} acme-bank "move 40 euros to my savings"',
        f"manyheads demo {servers}",
        f"manyheads lag {servers}",
    )


def _start_ring(options: DemoOptions, out: Console, resources: ExitStack) -> tuple[LocalStack, RingSetup]:
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
            stack = starting.result()
            ring = resources.enter_context(RingSetup(stack, RING, (CELL,)))
            ring.install(lambda _: build)
            current.done = f"Kafka at {stack.kafka.bootstrap_servers}"
    return stack, ring


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


def _kafka_version() -> str:
    return next(jar.version for jar in locked_jars() if jar.artifact == "kafka-clients")
