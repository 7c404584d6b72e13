"""``demo --bootstrap-servers``: the demo's traffic on a pipeline that runs already, such as that of docker compose."""

from collections.abc import Iterator

from manyheads.cli.catalogue import find_ring, read_registry
from manyheads.cli.demo.serving import Traffic, report, serve
from manyheads.cli.demo.utterances import load_tenants
from manyheads.cli.interrupts import Interrupts
from manyheads.cli.settings import kafka_settings
from manyheads.cli.steps import console, step
from manyheads.cli.trainers import Taught
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.errors import ErrorCode, RoutingError
from manyheads.topics.names import ring as ring_name
from manyheads.topics.registry import EncoderRecord

RING = ring_name("en")
_TIMEOUT_S = 60.0


def run_remote_demo(requests: int, bootstrap_servers: str) -> None:
    """Send the traffic and print the tables; starts and changes nothing. Raises ManyheadsError."""
    out = console()
    out.print()
    settings = kafka_settings(bootstrap_servers)
    with Interrupts() as interrupts:
        with step(out, "Reading the registry") as current:
            snapshot = read_registry(settings)
            encoder = _encoder(snapshot)
            tenants = tuple(_served(snapshot))
            if not tenants:
                raise _not_seeded(settings)
            current.done = f"{len(tenants)} tenants, encoder {encoder.version}, Kafka at {settings.bootstrap_servers}"
        traffic = Traffic(settings, RING, tenants, requests, _TIMEOUT_S)
        served = interrupts.run(serve(traffic, out))
        report(traffic, encoder, served, f"on {settings.bootstrap_servers}", out)


def _encoder(snapshot: RegistrySnapshot) -> EncoderRecord:
    record = find_ring(snapshot, RING)
    found = snapshot.encoder(RING, record.encoder)
    if found is None:
        raise RoutingError(
            ErrorCode.UNKNOWN_RING,
            f"ring {RING} names the encoder {record.encoder}, which is not registered; run: manyheads encoder build",
            ring=RING,
            encoder=record.encoder,
        )
    return found


def _served(snapshot: RegistrySnapshot) -> Iterator[Taught]:
    for examples in load_tenants():
        placement = snapshot.placement(RING, examples.tenant)
        if placement is not None and placement.head is not None:
            head = snapshot.head(RING, examples.tenant, placement.head)
            if head is not None:
                yield Taught(examples, head)


def _not_seeded(settings: KafkaSettings) -> RoutingError:
    return RoutingError(
        ErrorCode.UNKNOWN_TENANT,
        f"ring {RING} has none of the demo's tenants; to add them: "
        f"manyheads seed --bootstrap-servers {settings.bootstrap_servers}",
        ring=RING,
    )
