"""Which tenants a worker serves: those with a key in one of its partitions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from manyheads.infra.registry.snapshot import RegistrySnapshot
from manyheads.topics.errors import RoutingError
from manyheads.topics.names import CellName, RingName, TenantName
from manyheads.topics.partitions import partition_of, tenant_keys
from manyheads.topics.registry import HeadRecord


@dataclass(slots=True)
class _Topic:
    count: int
    partitions: set[int] = field(default_factory=set)


class Assignment:
    """The partitions that are this worker's, of each of its topics.

    Attributes:
        changes: rises with every change.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._topics: dict[str, _Topic] = {}

    def add(self, topic: str, partitions: Sequence[int], count: int) -> None:
        """``partitions`` of ``count`` are now ours."""
        self.changes += 1
        known = self._topics.setdefault(topic, _Topic(count))
        known.count = count
        known.partitions.update(partitions)

    def remove(self, topic: str, partitions: Sequence[int]) -> None:
        """``partitions`` are no longer ours."""
        self.changes += 1
        if topic in self._topics:
            self._topics[topic].partitions.difference_update(partitions)

    def serves(self, tenant: TenantName, spread: int) -> bool:
        """Whether one of the tenant's keys lies in one of our partitions."""
        keys = tenant_keys(tenant, spread)
        return any(
            partition_of(key, topic.count) in topic.partitions
            for topic in self._topics.values()
            if topic.partitions
            for key in keys
        )

    def active_heads(self, snapshot: RegistrySnapshot, ring: RingName, cell: CellName) -> Iterator[HeadRecord]:
        """The active heads of the tenants of a cell that we serve."""
        for placement in snapshot.placements(ring, cell):
            if placement.head is not None and self.serves(placement.tenant, placement.spread):
                try:
                    yield snapshot.route(ring, placement.tenant).head
                except RoutingError:
                    continue  # its requests are answered with this error, one by one
