"""docs/observability.md lists every metric as it is defined."""

from pathlib import Path

from manyheads.topics.metrics import ALL_METRICS, CLIENT_METRICS

PAGE = Path(__file__).parents[3] / "docs" / "observability.md"


def test_the_page_has_the_metrics_as_they_are() -> None:
    rows = [
        f"| `{spec.name}` | {spec.kind} | {', '.join(f'`{label}`' for label in spec.labels)} | {spec.help} |"
        for spec in (*ALL_METRICS, *CLIENT_METRICS)
    ]
    listed = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `manyheads_")]
    assert listed == rows


def test_no_metric_has_a_label_for_tenants() -> None:
    assert not [
        spec.name for spec in (*ALL_METRICS, *CLIENT_METRICS) if {"tenant", "head", "correlation_id"} & set(spec.labels)
    ]
