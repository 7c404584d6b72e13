"""librdkafka's settings, each with its reason. What connects (servers, TLS, SASL) comes from KafkaSettings."""

from typing import Any

from manyheads.topics.limits import MAX_DEAD_LETTER_BYTES, MAX_RECORD_BYTES

TRANSACTION_TIMEOUT_MS = 15_000
"""after it the broker aborts the transaction of a worker that died; until then its partitions stand still"""

Config = dict[str, Any]

_CONNECTION: Config = {
    "reconnect.backoff.max.ms": 1_000,
    "log.connection.close": False,  # idle connections come and go
}


def consumer_config(group: str, prefetch_bytes: int) -> Config:
    """Settings of a stage's consumer."""
    return _CONNECTION | {
        "group.id": group,
        "group.protocol": "consumer",  # KIP-848: a rebalance moves only what must move
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",  # a new group starts with what already waits
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        # pause() would throw away what was fetched, so the queue itself is bounded.
        "queued.max.messages.kbytes": max(1, prefetch_bytes // 1024),
        "queued.min.messages": 1_000,
        "fetch.message.max.bytes": min(prefetch_bytes, 1024 * 1024),
        "fetch.max.bytes": max(prefetch_bytes, MAX_RECORD_BYTES),
        "receive.message.max.bytes": max(prefetch_bytes, MAX_RECORD_BYTES) + 1024 * 1024,
        # The default of a second stalls a queue that was full.
        "fetch.queue.backoff.ms": 10,
        # A partition that joins waits for the fetch that is under way.
        "fetch.wait.max.ms": 100,
    }


def publisher_config() -> Config:
    """Settings of a stage's producer."""
    return _CONNECTION | {
        "enable.idempotence": True,
        "acks": "all",
        # Then it is published again, for as long as it takes; unless a sender named a place that nobody can write to.
        "message.timeout.ms": 30_000,
        "message.max.bytes": MAX_DEAD_LETTER_BYTES,
        "partitioner": "murmur2_random",  # as every Kafka client but librdkafka has it
        "linger.ms": 1,
        # A reply topic that does not exist holds up its record's partition for this long.
        "topic.metadata.propagation.max.ms": 5_000,
        # Far above what a publisher calls full, so that the results of whatever was taken fit: produce() would hold up
        # the loop, and with it a stop.
        "queue.buffering.max.messages": 2_000_000,
        "queue.buffering.max.kbytes": 1024 * 1024,
        "allow.auto.create.topics": False,
    }


def transactions_config(transactional_id: str) -> Config:
    """Settings of a transactional producer."""
    config = publisher_config() | {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "message.timeout.ms": TRANSACTION_TIMEOUT_MS,  # librdkafka asks for no more than the transaction has
    }
    del config["enable.idempotence"], config["acks"]  # implied
    return config
