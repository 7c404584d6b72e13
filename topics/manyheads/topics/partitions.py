"""Which partition a tenant's records go to. Every client must agree, whatever its language.

The hash is murmur2 as Kafka's Java client has it (public domain, Austin Appleby), seed 0x9747B28C, sign bit cleared.
librdkafka has it as ``partitioner=murmur2_random``; aiokafka and kafka-python have it by default.
"""

from manyheads.topics.names import TenantName

_M = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 of ``data``, as an unsigned number."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        k = (k * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    if whole != length:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of ``key`` in a topic of ``partitions`` partitions."""
    if partitions < 1:
        raise ValueError(f"a topic has at least one partition, not {partitions}")
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def tenant_keys(tenant: TenantName, spread: int = 1) -> tuple[bytes, ...]:
    """The record keys of a tenant: its name, or, for a tenant too big for one partition, ``spread`` keys.

    The first key is always the bare name, so that raising the spread moves no more than it must.
    """
    if spread < 1:
        raise ValueError(f"a tenant has at least one key, not {spread}")
    return tuple(_nth_key(tenant, n) for n in range(spread))


def tenant_key(tenant: TenantName, spread: int, correlation_id: bytes) -> bytes:
    """The key of one request of the tenant: the same request always gets the same key."""
    return _nth_key(tenant, murmur2(correlation_id) % spread if spread > 1 else 0)


def _nth_key(tenant: TenantName, n: int) -> bytes:
    return f"{tenant}#{n}".encode() if n else tenant.encode()
