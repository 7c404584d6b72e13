"""The Grafana dashboards as files: what Grafana would refuse, draw over another, or ask Prometheus for in vain."""

import itertools
import re
from typing import Any

import pytest
import yaml

from tests.support.grafana import DASHBOARDS, FOLDER, SERIES, filled_in, metrics_in, panels, queries
from tests.support.prometheus import FOLDER as PROMETHEUS

ROOT = FOLDER.parents[1]
SCHEMA_VERSIONS = {"12.4": 42}
"""what Grafana of a version writes; an older one it migrates, a newer one it does not know"""
VARIABLES = ["ring", "cell", "lane"]
BUILT_IN = {"__rate_interval": "1m"}
OF_PROMETHEUS = {"up", "ALERTS"}
OF_THE_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
COLUMNS = 24

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def image_version() -> str:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    return str(services["grafana"]["image"].partition(":")[2])


def provisioned(kind: str) -> dict[str, Any]:
    (file,) = (FOLDER / "provisioning" / kind).glob("*.yml")
    found: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    return found


def test_identifiers_are_unique() -> None:
    assert {"pipeline", "lag", "workers"} <= DASHBOARDS.keys()
    for name, dashboard in DASHBOARDS.items():
        assert dashboard["uid"] == f"manyheads-{name}"
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(ids)) == len(ids)
        for panel in panels(dashboard):
            refs = [target["refId"] for target in panel["targets"]]
            assert len(set(refs)) == len(refs)


@each_dashboard
def test_it_is_written_for_the_version_that_runs(dashboard: dict[str, Any]) -> None:
    version = image_version()
    assert dashboard["schemaVersion"] == SCHEMA_VERSIONS[version.rpartition(".")[0]]
    assert {panel["pluginVersion"] for panel in panels(dashboard)} == {version}


@each_dashboard
def test_panels_stand_side_by_side(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        ):
            assert cell not in taken, f"{panel['title']} lies over {taken[cell]}"
            taken[cell] = panel["title"]


@each_dashboard
def test_every_panel_tells_what_it_shows_and_what_to_do(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        assert len(panel["description"]) > 20, panel["title"]
        assert defaults["unit"], panel["title"]
        first = defaults["thresholds"]["steps"][0]
        assert first["value"] is None, "the lowest threshold has no bound"
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(set(titles)) == len(titles)


@each_dashboard
def test_everything_asks_the_provisioned_source(dashboard: dict[str, Any]) -> None:
    (source,) = provisioned("datasources")["datasources"]
    expected = {"type": source["type"], "uid": source["uid"]}
    asking = [
        *panels(dashboard),
        *(target for panel in panels(dashboard) for target in panel["targets"]),
        *dashboard["templating"]["list"],
        *dashboard["annotations"]["list"],
    ]
    assert all(each["datasource"] == expected for each in asking)
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == VARIABLES


def test_every_metric_is_there_and_every_variable_known() -> None:
    values = dict.fromkeys(VARIABLES, ".*") | BUILT_IN
    for query in queries():
        asked = metrics_in(filled_in(query.expr, values))
        assert asked, query
        assert asked <= SERIES | OF_PROMETHEUS | OF_THE_PROCESS, query


def test_the_source_is_the_prometheus_of_compose() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    (source,) = provisioned("datasources")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert services["prometheus"]["ports"][0].endswith(":9090")
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped, "$__rate_interval is made of it"


def test_compose_mounts_what_is_provisioned() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    mounted = dict(re.fullmatch(r"\./(.+):(.+):ro", each).groups() for each in services["grafana"]["volumes"])  # type: ignore[union-attr, misc]
    (provider,) = provisioned("dashboards")["providers"]
    assert provider["options"]["path"] == mounted["infra/grafana/dashboards"]
    for kind in ("datasources", "dashboards"):
        assert mounted[f"infra/grafana/provisioning/{kind}"] == f"/etc/grafana/provisioning/{kind}"


def test_the_page_explains_every_panel_and_alert() -> None:
    lines = (ROOT / "docs" / "monitoring.md").read_text("utf-8").splitlines()
    for dashboard in DASHBOARDS.values():
        rows = [f"| {panel['title']} | {panel['description']} |" for panel in panels(dashboard)]
        start = lines.index(f"### {dashboard['title']}")
        first = lines.index(rows[0], start)
        assert lines[first : first + len(rows)] == rows
        assert not "".join(lines[first + len(rows) :][:1]), "there are more rows than panels"
    rules = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))["groups"]
    alerts = [rule["alert"] for group in rules for rule in group["rules"]]
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == alerts
