"""The Grafana dashboards of infra/grafana as files, and their queries as Grafana would send them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manyheads.topics.lag_metrics import ALL_LAG_METRICS
from manyheads.topics.metrics import ALL_METRICS, CLIENT_METRICS, MetricKind

FOLDER = Path(__file__).parents[2] / "infra" / "grafana"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((FOLDER / "dashboards").glob("*.json"))
}

SERIES = frozenset(
    name
    for spec in (*ALL_METRICS, *CLIENT_METRICS, *ALL_LAG_METRICS)
    for name in (
        [f"{spec.name}_{part}" for part in ("bucket", "sum", "count")]
        if spec.kind is MetricKind.HISTOGRAM
        else [spec.name]
    )
)
"""The names that our processes serve."""

_VARIABLE = re.compile(r"\$([a-z_]+)|\$\{([a-z_]+)\}")
_METRIC = re.compile(r"\b(?:manyheads|kafka|process)_[a-z_]+|\b(?:up|ALERTS)\b")
_STRING = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class Query:
    """One query of a panel."""

    dashboard: str
    panel: str
    ref: str
    expr: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel} {self.ref}"


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The panels that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    """Every query of every panel."""
    return [
        Query(name, panel["title"], target["refId"], target["expr"], target["instant"])
        for name, dashboard in DASHBOARDS.items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def filled_in(expr: str, values: Mapping[str, str]) -> str:
    """The expression with its variables replaced; a KeyError for one that has no value."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], expr)


def metrics_in(expr: str) -> set[str]:
    """The names of the metrics that an expression asks for."""
    return set(_METRIC.findall(_STRING.sub('""', expr)))
