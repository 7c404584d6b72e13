"""``seed``: the demo's ring on a Kafka that runs: topics, an encoder, and a trained head for each of its tenants."""

from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console

from manyheads.cli.demo.utterances import load_tenants
from manyheads.cli.encoder import summary
from manyheads.cli.interrupts import Interrupts
from manyheads.cli.ring_setup import RingSetup
from manyheads.cli.settings import kafka_settings, store_settings
from manyheads.cli.steps import console, step
from manyheads.cli.trainers import Trainers
from manyheads.encoder_worker.build import build_minilm
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store import ModelStore, StoreSettings
from manyheads.topics.catalogue import ring_topics, shared_topics
from manyheads.topics.names import CellName, RingName
from manyheads.topics.names import cell as cell_name
from manyheads.topics.names import ring as ring_name

RING = ring_name("en")
CELL = cell_name("c0")


@dataclass(frozen=True, slots=True)
class _Deployment:
    """A Kafka and a model store that are somebody else's to start and stop."""

    settings: KafkaSettings
    store: ModelStore

    def create_topics(self, ring: RingName, cells: tuple[CellName, ...]) -> None:
        with TopicAdmin(self.settings) as admin:
            admin.ensure([*shared_topics(), *ring_topics(ring, cells)])


def run_seed(bootstrap_servers: str | None, store_url: str | None) -> None:
    """Make what is missing; what is there stays. Raises ManyheadsError."""
    out = console()
    kafka, store = kafka_settings(bootstrap_servers), store_settings(store_url)
    with Interrupts() as interrupts, ExitStack() as resources, interrupts.unwinding():
        with step(out, f"Creating topics on {kafka.bootstrap_servers}") as current:
            deployment = _Deployment(kafka, ModelStore(store.store_url, store.store_cache_dir))
            ring = resources.enter_context(RingSetup(deployment, RING, (CELL,)))
            current.done = f"Topics of ring {RING} on {kafka.bootstrap_servers}"
        give_encoder(ring, out)
        teach_new_tenants(ring, store, out)


def give_encoder(ring: RingSetup, out: Console) -> None:
    """Build the demo's encoder, unless the ring has one."""
    with step(out, "Building the encoder from real weights") as current:
        present = ring.encoder
        if present is None:
            current.done = f"Encoder {summary(*ring.install(lambda folder: build_minilm(folder, current.tell)))}"
        else:
            current.done = f"Encoder {present.version}, built before"


def teach_new_tenants(ring: RingSetup, store: StoreSettings, out: Console) -> None:
    """Train a head for each of the demo's tenants that the ring does not have."""
    placed = {placement.tenant for placement in ring.registry.tenants(ring.ring)}
    new = [examples for examples in load_tenants() if examples.tenant not in placed]
    before = f"{len(placed)} tenants from before" if placed else ""
    with step(out, "Training heads") as current:
        if new:
            with Trainers(ring, store, new) as trainers:
                for number, _ in enumerate(trainers.taught(), start=1):
                    current.tell(f"Training heads: {number} of {len(new)}")
        trained = f"{len(new)} heads trained" if new else ""
        current.done = ", ".join(filter(None, (trained, before)))
