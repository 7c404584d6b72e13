"""Where the copies of a partition should be: values in, values out."""

from collections import Counter
from collections.abc import Mapping, Sequence

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""


def replicas_wanted(
    current: Mapping[Partition, Sequence[int]], brokers: Sequence[int], copies: int
) -> dict[Partition, list[int]]:
    """The replicas of each partition that has fewer than ``copies``.

    What is there stays; the brokers with the fewest replicas get the new ones. The first replica is the preferred
    leader: it changes from partition to partition, so that the brokers share the leading.

    Args:
        current: the brokers that have each partition.
        brokers: the ids of the brokers that are up, at least ``copies``.
        copies: how many brokers shall have each partition, at least.
    """
    load = Counter(dict.fromkeys(brokers, 0))
    for replicas in current.values():
        load.update(replicas)
    wanted: dict[Partition, list[int]] = {}
    for (topic, number), replicas in sorted(current.items()):
        added: list[int] = []
        for _ in range(copies - len(replicas)):
            free = [broker for broker in brokers if broker not in replicas and broker not in added]
            added.append(min(free, key=lambda broker: (load[broker], broker)))
            load[added[-1]] += 1
        if added:
            together = sorted([*replicas, *added])
            first = number % len(together)
            wanted[topic, number] = together[first:] + together[:first]
    return wanted
