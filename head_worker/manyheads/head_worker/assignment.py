"""Which tenants a worker serves: those with a key in one of its partitions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from manyheads.infra.registry.snapshot import RegistrySnapshot
from manyheads.topics.errors import RoutingError
from manyheads.topics.names import CellName, RingName, TenantName, parse_stage_topic
from manyheads.topics.partitions import partition_of, tenant_keys
from manyheads.topics.registry import HeadRecord


@dataclass(slots=True)
class _Topic:
    count: int
    transient: bool
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
        parsed = parse_stage_topic(topic)
        known = self._topics.setdefault(topic, _Topic(count, parsed is not None and parsed.transient))
        known.count = count
        known.partitions.update(partitions)

    def remove(self, topic: str, partitions: Sequence[int]) -> None:
        """``partitions`` are no longer ours."""
        self.changes += 1
        if topic in self._topics:
            self._topics[topic].partitions.difference_update(partitions)

    def serves(self, tenant: TenantName, spread: int, transient: bool | None = None) -> bool:
        """Whether one of the tenant's keys lies in one of our partitions: of any topic, or of the named kind."""
        keys = tenant_keys(tenant, spread)
        return any(
            partition_of(key, topic.count) in topic.partitions
            for topic in self._topics.values()
            if topic.partitions and transient in (None, topic.transient)
            for key in keys
        )

    def active_heads(self, snapshot: RegistrySnapshot, ring: RingName, cell: CellName) -> Iterator[HeadRecord]:
        """The active heads of the tenants of a cell that we serve."""
        for placement in snapshot.placements(ring, cell):
            # Only where its embeddings go: those of before, in the other topics, are answered by what is still loaded.
            if placement.head is not None and self.serves(placement.tenant, placement.spread, placement.transient):
                try:
                    yield snapshot.route(ring, placement.tenant).head
                except RoutingError:
                    continue  # its requests are answered with this error, one by one
