"""Kafka in memory: the same promises as the real transport, without a broker. For tests, ours and yours.

``cluster`` is what a test holds, ``clients`` what a worker gets of it, ``broker`` the state that they share.
"""

from manyheads.infra.kafka.memory.cluster import MemoryKafka

__all__ = ["MemoryKafka"]
