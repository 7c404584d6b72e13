"""The tenant's partition is the one that every Kafka client computes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_python_murmur2

from manyheads.topics.names import TenantName, tenant
from manyheads.topics.partitions import murmur2, partition_of, tenant_key, tenant_keys
from tests.unit.topics.strategies import tenant_names

# From the tests of Kafka's Java client, which has it as a signed number.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "signed"), JAVA.items())
def test_the_java_clients_vectors(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed % 2**32


@given(st.binary(max_size=200))
def test_kafka_python_agrees(data: bytes) -> None:
    assert murmur2(data) == kafka_python_murmur2(data) % 2**32


@given(st.binary(), st.integers(1, 1_000))
def test_a_partition_is_within_the_topic(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) in range(partitions)


@given(tenant_names, st.integers(1, 64), st.binary(min_size=1, max_size=16))
def test_a_request_gets_one_of_its_tenants_keys(name: TenantName, spread: int, correlation_id: bytes) -> None:
    keys = tenant_keys(name, spread)
    assert len(set(keys)) == spread
    assert tenant_key(name, spread, correlation_id) in keys
    assert tenant_key(name, spread, correlation_id) == tenant_key(name, spread, correlation_id)
    assert tenant_key(name, 1, correlation_id) == name.encode() == keys[0]


def test_a_spread_tenant_uses_all_its_keys() -> None:
    name = tenant("acme")
    used = {tenant_key(name, 8, n.to_bytes(16, "big")) for n in range(1_000)}
    assert used == set(tenant_keys(name, 8))


def test_no_partition_and_no_key_is_a_defect() -> None:
    with pytest.raises(ValueError, match="at least one partition"):
        partition_of(b"a", 0)
    with pytest.raises(ValueError, match="at least one key"):
        tenant_keys(tenant("a"), 0)
