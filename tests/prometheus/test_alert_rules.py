"""The alert rules: each is tested, by Prometheus' own tool, and asks only for metrics that are there."""

import subprocess

import pytest
import yaml

from tests.support.grafana import SERIES, metrics_in
from tests.support.prometheus import FOLDER

RULES = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"] for rule in group["rules"]
]
CASES = yaml.safe_load((FOLDER / "alerts_test.yml").read_text("utf-8"))["tests"]


def run(promtool: str, *arguments: str) -> None:
    done = subprocess.run([promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_the_configuration_is_valid(promtool: str) -> None:
    run(promtool, "check", "config", "prometheus.yml")


def test_every_alert_fires_when_it_should_and_only_then(promtool: str) -> None:
    run(promtool, "test", "rules", "alerts_test.yml")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_has_a_case_in_which_it_fires_and_says_what_to_do(rule: dict[str, object]) -> None:
    fired = {test["alertname"] for case in CASES for test in case.get("alert_rule_test", ()) if test["exp_alerts"]}
    assert rule["alert"] in fired
    assert rule["annotations"].keys() == {"summary", "action"}  # type: ignore[attr-defined]
    assert rule["labels"]["severity"] in ("warning", "critical")  # type: ignore[index]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_that_are_there(rule: dict[str, object]) -> None:
    asked = metrics_in(str(rule["expr"]))
    assert asked
    assert asked <= SERIES | {"up"}
