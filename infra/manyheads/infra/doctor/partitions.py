"""Topics and brokers as Kafka describes them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it is."""

    name: str
    partitions: int
    replicas: int
    """copies of the partition that has the fewest"""
    leaderless: tuple[int, ...]
    under_replicated: tuple[int, ...]
    settings: Mapping[str, str]
    """every setting, defaults of the broker included; empty for a topic of Kafka's own"""
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """The brokers, and what they can do."""

    cluster_id: str
    brokers: tuple[str, ...]
    """those that serve, as ``host:port``"""
    fenced: tuple[str, ...]
    """those that are known and do not serve"""
    version: tuple[int, ...]
    """of Kafka's protocol, as far as the answers tell: (4, 3)"""
    features: Mapping[str, int]
    """the level of each feature that is switched on, such as ``group.version``"""
