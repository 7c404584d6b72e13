"""A publisher whose broker is away: it never holds up its caller, and says when it is full."""

from manyheads.infra.broker.ports import LOOPBACK, free_ports
from manyheads.infra.kafka.confluent import ConfluentTransport
from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.settings import KafkaSettings

MEGABYTE = 1024 * 1024


def test_it_is_full_long_before_it_would_block() -> None:
    (port,) = free_ports(1)
    publisher = ConfluentTransport(KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{port}")).publisher()
    count = 0
    while not publisher.full:
        assert publisher.publish(Outgoing("answers", bytes(MEGABYTE)), count) is None
        count += 1
    assert count == 64
    for more in range(128):  # what was computed already
        assert publisher.publish(Outgoing("answers", bytes(MEGABYTE)), count + more) is None
    publisher.close(1.0)
    lost = publisher.deliveries(0)
    assert len(lost) == count + 128
    assert not publisher.full
