"""Every metric of the lag exporter, once. :mod:`manyheads.infra.lag.exporter` fills them.

The ``kafka_`` ones have the names and labels of kafka-lag-exporter (``kafka_consumergroup_group_*``,
``kafka_partition_*``) and of kafka_exporter (``kafka_consumergroup_lag`` ...), so that dashboards and alerts made for
either go on working. The ``manyheads_`` ones are what neither has. All are gauges.
"""

from dataclasses import replace

from manyheads.topics.metrics import MetricKind, MetricSpec

_CLUSTER = "cluster_name"
_GROUP = (_CLUSTER, "group")
_PARTITION = (_CLUSTER, "topic", "partition")
_GROUP_PARTITION = (_CLUSTER, "group", "topic", "partition", "member_host", "consumer_id", "client_id")
_OURS = (_CLUSTER, "group", "ring", "cell", "stage", "lane")


def _gauge(name: str, text: str, labels: tuple[str, ...]) -> MetricSpec:
    return MetricSpec(name, MetricKind.GAUGE, text, labels)


# kafka-lag-exporter
GROUP_OFFSET = _gauge(
    "kafka_consumergroup_group_offset", "Committed offset: the next record to process.", _GROUP_PARTITION
)
GROUP_LAG = _gauge("kafka_consumergroup_group_lag", "Records that wait.", _GROUP_PARTITION)
GROUP_LAG_SECONDS = _gauge(
    "kafka_consumergroup_group_lag_seconds",
    "Age of the oldest record that waits, by its own timestamp.",
    _GROUP_PARTITION,
)
GROUP_MAX_LAG = _gauge("kafka_consumergroup_group_max_lag", "Records that wait, the partition with most.", _GROUP)
GROUP_MAX_LAG_SECONDS = _gauge(
    "kafka_consumergroup_group_max_lag_seconds", "Age of the oldest record that waits, over partitions.", _GROUP
)
GROUP_SUM_LAG = _gauge("kafka_consumergroup_group_sum_lag", "Records that wait, over partitions.", _GROUP)
GROUP_TOPIC_SUM_LAG = _gauge(
    "kafka_consumergroup_group_topic_sum_lag", "Records that wait, over a topic's partitions.", (*_GROUP, "topic")
)
PARTITION_EARLIEST = _gauge("kafka_partition_earliest_offset", "First offset of the log.", _PARTITION)
PARTITION_LATEST = _gauge(
    "kafka_partition_latest_offset", "Last stable offset: what read_committed can reach.", _PARTITION
)

# kafka_exporter: figures of the above by other names
_CONSUMER_GROUP = ("consumergroup", "topic", "partition")
CURRENT_OFFSET = replace(GROUP_OFFSET, name="kafka_consumergroup_current_offset", labels=_CONSUMER_GROUP)
LAG = replace(GROUP_LAG, name="kafka_consumergroup_lag", labels=_CONSUMER_GROUP)
LAG_SUM = replace(GROUP_TOPIC_SUM_LAG, name="kafka_consumergroup_lag_sum", labels=("consumergroup", "topic"))
MEMBERS = _gauge("kafka_consumergroup_members", "Members of the group.", ("consumergroup",))

# ours
STATE = _gauge(
    "manyheads_lag_state",
    "1 for the state that the group's worst partition is in, by Burrow's rules; 0 for the others.",
    (*_OURS, "state"),
)
PARTITIONS_IN_STATE = _gauge("manyheads_lag_partitions", "Partitions of the group in each state.", (*_OURS, "state"))
GROUP_RECORDS = _gauge("manyheads_lag_records", "Records that wait, over partitions.", _OURS)
OLDEST_SECONDS = _gauge(
    "manyheads_lag_oldest_seconds", "Age of the oldest record that waits; absent if it is not known.", _OURS
)
ETA_SECONDS = _gauge(
    "manyheads_lag_eta_seconds",
    "Seconds until nothing waits at these rates: 0 caught up, +Inf never, absent before the second sample.",
    _OURS,
)
ARRIVAL_RATE = _gauge("manyheads_lag_arrivals_per_second", "Offsets written a second, over the window.", _OURS)
COMPLETION_RATE = _gauge("manyheads_lag_completions_per_second", "Offsets committed a second, over the window.", _OURS)
DEAD_LETTERS_KEPT = _gauge("manyheads_dead_letters_kept", "Records on a dead-letter topic now.", (_CLUSTER, "topic"))
DEAD_LETTER_RATE = _gauge(
    "manyheads_dead_letters_per_second", "Records put on a dead-letter topic a second.", (_CLUSTER, "topic")
)
DEAD_LETTER_NEWEST = _gauge(
    "manyheads_dead_letter_newest_timestamp_seconds",
    "When the newest dead letter was written, in seconds since 1970; absent if there is none.",
    (_CLUSTER, "topic"),
)
KAFKA_UP = _gauge("manyheads_lag_kafka_up", "Whether Kafka answered the last round.", (_CLUSTER,))
ROUND_SECONDS = _gauge("manyheads_lag_round_seconds", "How long the last round took.", (_CLUSTER,))
MEASURED_AT = _gauge(
    "manyheads_lag_measured_timestamp_seconds", "When the last round was, in seconds since 1970.", (_CLUSTER,)
)

ALL_LAG_METRICS = (
    GROUP_OFFSET,
    GROUP_LAG,
    GROUP_LAG_SECONDS,
    GROUP_MAX_LAG,
    GROUP_MAX_LAG_SECONDS,
    GROUP_SUM_LAG,
    GROUP_TOPIC_SUM_LAG,
    PARTITION_EARLIEST,
    PARTITION_LATEST,
    CURRENT_OFFSET,
    LAG,
    LAG_SUM,
    MEMBERS,
    STATE,
    PARTITIONS_IN_STATE,
    GROUP_RECORDS,
    OLDEST_SECONDS,
    ETA_SECONDS,
    ARRIVAL_RATE,
    COMPLETION_RATE,
    DEAD_LETTERS_KEPT,
    DEAD_LETTER_RATE,
    DEAD_LETTER_NEWEST,
    KAFKA_UP,
    ROUND_SECONDS,
    MEASURED_AT,
)
