"""The registry: which encoders, heads and placements there are, and which of them are live.

``snapshot`` folds the records of the compacted topic, pure; ``follower`` keeps a snapshot up to date from Kafka;
``writer`` puts records there. Only the last two need confluent-kafka, so they are imported by their own names.
"""

from manyheads.infra.registry.reader import FixedRegistry, RegistryReader
from manyheads.infra.registry.snapshot import RegistrySnapshot, Route

__all__ = ["FixedRegistry", "RegistryReader", "RegistrySnapshot", "Route"]
