"""lag: one round over 1,000 partitions and 10 groups, each group behind in every partition.

The first round reads the oldest waiting record of each of the 10,000; a still round finds them known; in a moving
round every group has committed further in every partition.
"""

import statistics
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.report import Verdict
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker import EmbeddedKafka
from manyheads.infra.lag import LagMonitor
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.catalogue import TopicSpec

TOPICS, PARTITIONS, GROUPS, RECORDS = 10, 100, 10, 12
ROUNDS = 5
GOAL_S = 2.0


def _write(settings: KafkaSettings) -> None:
    producer = Producer(settings.confluent() | {"linger.ms": 5})
    for topic in range(TOPICS):
        for partition in range(PARTITIONS):
            for _ in range(RECORDS):
                producer.produce(f"lag-{topic}", b"x" * 300, partition=partition)
        producer.poll(0)
    producer.flush()


def _commit(settings: KafkaSettings, offset: int) -> None:
    positions = [TopicPartition(f"lag-{t}", p, offset) for t in range(TOPICS) for p in range(PARTITIONS)]
    for group in range(GROUPS):
        consumer = Consumer(settings.confluent() | {"group.id": f"lag-{group}"})
        consumer.commit(offsets=positions, asynchronous=False)
        consumer.close()


def _round_s(monitor: LagMonitor, waiting: int) -> float:
    began = time.perf_counter()
    snapshot = monitor.poll()
    seconds = time.perf_counter() - began
    if snapshot.broker is not None or sum(group.lag for group in snapshot.groups) != waiting:
        raise SystemExit(f"measured something else: {snapshot.broker or [group.lag for group in snapshot.groups]}")
    return seconds


def run(arguments: list[str]) -> int:
    """Print the table and the verdict. Takes no options."""
    if arguments:
        print("lag takes no options")
        return 2
    rows: list[tuple[str, list[float]]] = []
    partitions = TOPICS * PARTITIONS
    with EmbeddedKafka() as kafka:
        settings = kafka.settings()
        with TopicAdmin(settings) as admin:
            admin.ensure([TopicSpec(f"lag-{topic}", PARTITIONS) for topic in range(TOPICS)])
        _write(settings)
        _commit(settings, 1)
        with LagMonitor(settings) as monitor:
            rows.append(("first", [_round_s(monitor, partitions * GROUPS * (RECORDS - 1))]))
            still = [_round_s(monitor, partitions * GROUPS * (RECORDS - 1)) for _ in range(2 * ROUNDS)]
            rows.append(("still", still))
            moving = []
            for offset in range(2, 2 + ROUNDS):
                _commit(settings, offset)
                moving.append(_round_s(monitor, partitions * GROUPS * (RECORDS - offset)))
            rows.append(("moving", moving))
    table = Table(title=f"One round, {partitions:,} partitions x {GROUPS} groups, all behind")
    for heading in ("round", "median s", "worst s"):
        table.add_column(heading, justify="left" if heading == "round" else "right")
    for name, seconds in rows:
        table.add_row(name, f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}")
    Console(width=100).print(table)
    worst = max(second for _, seconds in rows for second in seconds)
    figure = f"{worst:.2f} s at worst, {statistics.median(still):.2f} s where nothing moves"
    print(Verdict("lag", worst < GOAL_S, figure, f"under {GOAL_S:g} s a round").line())
    return 0
