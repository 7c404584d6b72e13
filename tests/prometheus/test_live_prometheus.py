"""Every query of the dashboards and alerts, and the lag figures, in a real Prometheus that scrapes a real stack."""

import math
from collections.abc import Iterable, Mapping
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from manyheads.infra.lag import LagMonitor
from manyheads.topics.names import encoder_group, requests_topic
from tests.broker.pipelines import FR
from tests.prometheus.live_stack import COMMITTED, UNREAD, Live, commit
from tests.support.grafana import DASHBOARDS, Query, filled_in, metrics_in, queries
from tests.support.prometheus import FOLDER, until

RULES = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"] for rule in group["rules"]
]
# Longer than any test run, so that a slow machine does not lose the traffic out of sight.
BUILT_IN = {"__rate_interval": "1h"}
ALL = BUILT_IN | {"ring": ".*", "cell": ".*", "lane": ".*"}
ONE = BUILT_IN | {"ring": "(en)", "cell": "(c0)", "lane": "(interactive)"}
"""what Grafana puts in for All, and for one choice of each variable"""
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def has_numbers(live: Live, query: Query, expr: str) -> bool:
    if query.instant:
        return any(not math.isnan(sample.value) for sample in live.prometheus.instant(expr))
    return any(not math.isnan(value) for values in live.prometheus.series(expr, live.since) for value in values)


@pytest.mark.parametrize("query", queries(), ids=str)
def test_a_panel_has_something_to_show(live: Live, query: Query) -> None:
    for values in (ALL, ONE):
        expr = filled_in(query.expr, values)
        until(lambda expr=expr: has_numbers(live, query, expr), lambda expr=expr: f"nothing for {expr}")  # type: ignore[misc]


def test_every_variable_has_its_values(live: Live) -> None:
    choices = {"ring": {"en", "fr"}, "cell": {"c0"}, "lane": {"interactive", "batch"}}
    for dashboard in DASHBOARDS.values():
        for variable in dashboard["templating"]["list"]:
            selector, _, label = (
                variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rpartition(", ")
            )
            found = set(live.prometheus.label_values(label, filled_in(selector, ALL)))
            assert found
            assert found <= choices[variable["name"]]


def test_every_metric_of_the_alerts_has_been_scraped(live: Live) -> None:
    asked = set().union(*(metrics_in(rule["expr"]) for rule in RULES))
    assert asked <= live.prometheus.metric_names()


def test_every_alert_is_evaluated_and_those_with_cause_are_on(live: Live) -> None:
    """Those that wait for their time are on as well."""
    wanted = {("DeadLetters", ""), ("Stalled", encoder_group(FR))}
    causeless = {"WorkerDown", "NoWorker", "SilentWorker", "ReportsStopped", "KafkaAway", "LagNotMeasured"}

    def active() -> set[tuple[str, str]]:
        rules = live.prometheus.rules()
        return {(rule["name"], alert["labels"].get("group", "")) for rule in rules for alert in rule["alerts"]}

    def health() -> dict[str, str]:
        return {rule["name"]: rule["health"] for rule in live.prometheus.rules()}

    until(lambda: health() == {rule["alert"]: "ok" for rule in RULES}, lambda: f"{health()}")
    until(lambda: wanted <= active(), lambda: f"{wanted} are not among {active()}")
    until(lambda: not causeless & {name for name, _ in active()}, lambda: f"no cause for one of {active()}")


def test_every_target_is_up_and_every_record_counted(live: Live) -> None:
    def up() -> set[str]:
        return {target["labels"]["job"] for target in live.prometheus.targets() if target["health"] == "up"}

    until(lambda: up() == {"encoder_worker", "head_worker", "lag", "shop"}, lambda: f"only {up()} are up")
    until(lambda: live.finished() == live.sent(), lambda: f"{live.finished()} is not {live.sent()}")


def test_the_lag_is_what_was_written_and_not_done(live: Live) -> None:
    partition = f'topic="{requests_topic(FR)}", partition="0"'
    group = f'group="{encoder_group(FR)}", {partition}'
    age = f"kafka_consumergroup_group_lag_seconds{{{group}}}"
    expected = {
        f"kafka_partition_latest_offset{{{partition}}}": UNREAD,
        f"kafka_consumergroup_group_offset{{{group}}}": COMMITTED,
        f"kafka_consumergroup_group_lag{{{group}}}": UNREAD - COMMITTED,
        # when the record at the committed offset was written
        f"scalar(manyheads_lag_measured_timestamp_seconds) - {age}": pytest.approx(live.since + COMMITTED, abs=0.1),
    }

    def found() -> dict[str, list[float]]:
        return {query: [sample.value for sample in live.prometheus.instant(query)] for query in expected}

    until(lambda: found() == {query: [value] for query, value in expected.items()}, lambda: f"{found()}")


def test_the_lag_is_what_the_monitor_says(live: Live) -> None:
    def measured() -> dict[tuple[str, str, str], int | None]:
        groups = monitor.poll().groups
        return {(each.group, of.topic, str(of.partition)): of.lag for each in groups for of in each.partitions}

    def stored() -> dict[tuple[str, str, str], float]:
        return {
            (each.labels["group"], each.labels["topic"], each.labels["partition"]): each.value
            for each in live.prometheus.instant("kafka_consumergroup_group_lag")
        }

    with LagMonitor(live.settings) as monitor:
        until(lambda: measured() == stored(), lambda: f"{measured().items() ^ stored().items()}")
        assert len(stored()) > 50


def test_prometheus_has_the_exporters_page(live: Live) -> None:
    """Every sample with its labels, and the values, but for times: those are others at each look."""
    until(
        lambda: not differences(served(live), stored(live)),
        lambda: f"served and stored differ, such as {differences(served(live), stored(live))[:3]}",
    )
    assert len(served(live)) > 200


def served(live: Live) -> Series:
    """The page of the lag exporter."""
    with urlopen(live.exporter_url) as response:
        families = text_string_to_metric_families(response.read().decode())
    return series((sample.name, sample.labels, sample.value) for family in families for sample in family.samples)


def stored(live: Live) -> Series:
    """What Prometheus has of it."""
    samples = live.prometheus.instant('{job="lag", __name__=~"(kafka|manyheads)_.+"}')
    return series((sample.labels["__name__"], sample.labels, sample.value) for sample in samples)


def series(samples: Iterable[tuple[str, Mapping[str, str], float]]) -> Series:
    """Without what Prometheus adds; to it an empty label is none."""
    added = {"__name__", "job", "instance"}
    return {
        (name, frozenset((label, text) for label, text in labels.items() if text and label not in added)): value
        for name, labels, value in samples
    }


def differences(one: Series, other: Series) -> list[tuple[str, frozenset[tuple[str, str]]]]:
    return [
        key
        for key in one.keys() | other.keys()
        if key not in one or key not in other or (one[key] != other[key] and "seconds" not in key[0])
    ]


def test_what_is_done_meanwhile_is_followed(live: Live) -> None:
    commit(live.settings, UNREAD)
    group = f'group="{encoder_group(FR)}"'
    until(
        lambda: [each.value for each in live.prometheus.instant(f"manyheads_lag_records{{{group}}}")] == [0],
        lambda: "the lag is not 0",
    )
    until(
        lambda: [each.value for each in live.prometheus.instant(f'manyheads_lag_state{{{group}, state="OK"}}')] == [1],
        lambda: "the state is not OK",
    )
