"""``up``: a local pipeline that keeps running, with its state in a folder."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from manyheads.cli.interrupts import Interrupts
from manyheads.cli.ring_setup import RingSetup
from manyheads.cli.running import print_hints, start_dashboard, wait_for_interrupt
from manyheads.cli.seed import CELL, RING, give_encoder, teach_new_tenants
from manyheads.cli.steps import console, step
from manyheads.infra.local import LocalStack, encoder_worker, head_worker

_DEFAULT_PORT = 9092


@dataclass(frozen=True, slots=True)
class UpOptions:
    """Where it runs, and how large."""

    port: int
    state: Path
    head_workers: int
    dashboard: bool = True


def run_up(options: UpOptions) -> None:
    """Run until Ctrl-C. Raises ManyheadsError if something cannot start or has ended by itself."""
    out = console()
    with Interrupts() as interrupts, ExitStack() as resources:
        try:
            with interrupts.unwinding():
                stack = _start(options, out, resources)
                url = start_dashboard(stack.settings, out, resources) if options.dashboard else None
                print_hints(out, url, _commands(options, stack))
                wait_for_interrupt(stack)
        finally:
            with step(out, "Stopping everything") as current:
                resources.close()
                current.done = f"Stopped; {options.state} keeps topics, models and logs for the next time"


def _start(options: UpOptions, out: Console, resources: ExitStack) -> LocalStack:
    with step(out, "Starting Apache Kafka (the first time downloads it, 45 MB)") as current:
        stack = resources.enter_context(LocalStack(options.state, options.port))
        ring = resources.enter_context(RingSetup(stack, RING, (CELL,)))
        current.done = f"Apache Kafka at {stack.kafka.bootstrap_servers}"
    give_encoder(ring, out)
    teach_new_tenants(ring, stack.workers.store, out)
    with step(out, "Starting the workers") as current:
        stack.workers.start(encoder_worker(RING), *[head_worker(RING, CELL)] * options.head_workers)
        heads = f"{options.head_workers} head workers" if options.head_workers > 1 else "1 head worker"
        current.done = f"1 encoder worker, {heads}; logs in {options.state / 'logs'}"
    return stack


def _commands(options: UpOptions, stack: LocalStack) -> tuple[str, ...]:
    servers = "" if options.port == _DEFAULT_PORT else f" -b {stack.kafka.bootstrap_servers}"
    return (
        f'manyheads ask{servers} acme-bank "move 40 euros to my savings"',
        f"manyheads tenants list{servers}",
        f"manyheads train{servers} my-shop my-shop.md",
    )
