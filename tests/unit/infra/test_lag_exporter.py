"""What Prometheus reads: names, labels and values, as its own parser sees them."""

import math

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from manyheads.infra.lag import DeadLetters, GroupLag, LagSnapshot, LagState, Member, PartitionLag, Stage
from manyheads.infra.lag.exporter import LagMetrics
from manyheads.infra.lag.settings import LagSettings
from manyheads.infra.settings import load_settings
from manyheads.topics import lag_metrics as specs
from manyheads.topics.errors import InvalidSettings
from manyheads.topics.names import Lane, ring

MEMBER = Member("m-1", "worker-1", "10.0.3.7")
MOVING = PartitionLag("nlu.en.requests", 0, 7, 2, 20, 13, 4.5, 3.0, 1.5, math.inf, LagState.WARN, "slow", MEMBER)
LEADERLESS = PartitionLag("nlu.en.requests", 1, 5, None, None, None, None, None, None, None, LagState.ERR, "no leader")
GROUP = GroupLag(
    group='a "quoted" group',
    ring=ring("en"),
    cell=None,
    stage=Stage.ENCODER,
    lane=Lane.INTERACTIVE,
    members=(MEMBER,),
    kafka_state="Stable",
    state=LagState.ERR,
    sentence="no leader",
    lag=13,
    oldest_age_s=4.5,
    arrival_rate=3.0,
    completion_rate=1.5,
    eta_s=math.inf,
    partitions=(MOVING, LEADERLESS),
)
LETTERS = DeadLetters("nlu.en.requests-dlt", 4, 0.5, 1_700_000_000_500)
SNAPSHOT = LagSnapshot(1_700_000_001_000, None, (GROUP,), (LETTERS,))
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(metrics: LagMetrics) -> Samples:
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    found = [each for (sample, has), each in samples.items() if sample == name and set(labels.items()) <= set(has)]
    assert len(found) <= 1, f"{labels} does not tell the samples of {name} apart"
    return found[0] if found else None


@pytest.fixture
def samples() -> Samples:
    metrics = LagMetrics("prod")
    metrics.update(SNAPSHOT, 0.25)
    return scraped(metrics)


def test_every_metric_has_samples_with_the_labels_of_its_spec(samples: Samples) -> None:
    by_name = {spec.name: set(spec.labels) for spec in specs.ALL_LAG_METRICS}
    assert {name for name, _ in samples} == set(by_name)
    for name, labels in samples:
        assert {label for label, _ in labels} == by_name[name]


def test_the_values_are_those_of_the_snapshot(samples: Samples) -> None:
    at = {"group": GROUP.group, "topic": "nlu.en.requests", "partition": "0", "cluster_name": "prod"}
    owner = {"member_host": "10.0.3.7", "consumer_id": "m-1", "client_id": "worker-1"}
    assert value(samples, "kafka_consumergroup_group_lag", **at, **owner) == 13
    assert value(samples, "kafka_consumergroup_group_lag_seconds", **at, **owner) == 4.5
    assert value(samples, "kafka_consumergroup_group_offset", **at, **owner) == 7
    assert value(samples, "kafka_consumergroup_group_max_lag", group=GROUP.group) == 13
    assert value(samples, "kafka_consumergroup_group_max_lag_seconds", group=GROUP.group) == 4.5
    assert value(samples, "kafka_partition_latest_offset", topic="nlu.en.requests", partition="0") == 20
    assert value(samples, "kafka_partition_earliest_offset", topic="nlu.en.requests", partition="0") == 2
    assert value(samples, "kafka_consumergroup_lag", consumergroup=GROUP.group, partition="0") == 13
    assert value(samples, "kafka_consumergroup_current_offset", consumergroup=GROUP.group, partition="0") == 7
    assert value(samples, "kafka_consumergroup_members", consumergroup=GROUP.group) == 1
    assert value(samples, "manyheads_lag_eta_seconds", ring="en", stage="encoder", lane="interactive") == math.inf
    assert value(samples, "manyheads_dead_letters_kept", topic="nlu.en.requests-dlt") == 4
    assert value(samples, "manyheads_dead_letter_newest_timestamp_seconds") == 1_700_000_000.5
    assert value(samples, "manyheads_lag_kafka_up", cluster_name="prod") == 1
    assert value(samples, "manyheads_lag_round_seconds") == 0.25


def test_exactly_one_state_is_on(samples: Samples) -> None:
    states = {state: value(samples, "manyheads_lag_state", state=state) for state in LagState}
    assert states == {state: float(state is LagState.ERR) for state in LagState}
    partitions = {state: value(samples, "manyheads_lag_partitions", state=state) for state in LagState}
    assert partitions[LagState.WARN] == partitions[LagState.ERR] == 1
    assert sum(filter(None, partitions.values())) == 2


def test_what_is_not_known_is_absent(samples: Samples) -> None:
    assert value(samples, "kafka_consumergroup_lag", partition="1") is None
    assert value(samples, "kafka_partition_latest_offset", partition="1") is None
    assert value(samples, "kafka_consumergroup_current_offset", partition="1") == 5


def test_without_a_broker_nothing_stale_is_served() -> None:
    metrics = LagMetrics("prod")
    assert scraped(metrics) == {}
    metrics.update(SNAPSHOT, 0.25)
    metrics.update(LagSnapshot(1, "no answer"), 5.0)
    found = scraped(metrics)
    assert value(found, "manyheads_lag_kafka_up") == 0
    assert {name for name, _ in found} == {
        "manyheads_lag_kafka_up",
        "manyheads_lag_round_seconds",
        "manyheads_lag_measured_timestamp_seconds",
    }


def test_settings_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANYHEADS_LAG_GROUPS", "(")
    with pytest.raises(InvalidSettings, match=r"MANYHEADS_LAG_GROUPS='\('.*regular expression"):
        load_settings(LagSettings)
