"""Logs as JSON lines and metrics as the contract specifies them."""

import json
import logging
import subprocess
import sys
import urllib.request
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.telemetry import NO_METRICS, Metrics, configure_logging, event, serve_metrics
from manyheads.topics import metrics as specs
from manyheads.topics.errors import ErrorCode, InvalidSettings, RoutingError

STAGE = {"stage": "head", "ring": "en", "lane": "batch"}

log = logging.getLogger("test.telemetry")

pytestmark = pytest.mark.usefixtures("root_logger_as_it_was")


def logged(stream: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json() -> None:
    configure_logging("INFO", stream := StringIO())
    event(log, "worker_ready", ring="en", partitions=[0, 1], share=0.5)
    (line,) = logged(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "test.telemetry",
        "event": "worker_ready",
        "ring": "en",
        "partitions": [0, 1],
        "share": 0.5,
    }


def test_an_exception_stays_on_its_line() -> None:
    configure_logging("INFO", stream := StringIO())
    try:
        raise RoutingError(ErrorCode.UNKNOWN_RING, "no\nsuch ring", ring="xx")
    except RoutingError as error:
        event(log, "failed", level=logging.ERROR, exc_info=True, error=error)
    (line,) = logged(stream)
    assert line["exception"].startswith("Traceback")
    assert line["error"] == {"code": "unknown_ring", "message": "no\nsuch ring", "ring": "xx"}


def test_a_librarys_line_is_json_too() -> None:
    configure_logging("INFO", stream := StringIO())
    logging.getLogger("somebody.else").warning("%d\nlines", 2)
    (line,) = logged(stream)
    assert (line["event"], line["message"], line["level"]) == ("log", "2\nlines", "warning")


def test_a_level_below_is_silent() -> None:
    configure_logging("warning", stream := StringIO())
    event(log, "detail")
    assert stream.getvalue() == ""


def test_configuring_again_replaces() -> None:
    configure_logging("INFO", first := StringIO())
    configure_logging("INFO", second := StringIO())
    event(log, "once")
    assert first.getvalue() == ""
    assert len(logged(second)) == 1


def test_an_unknown_level_is_a_wrong_setting() -> None:
    before = list(logging.getLogger().handlers)
    with pytest.raises(InvalidSettings, match="LOUD"):
        configure_logging("LOUD")
    assert logging.getLogger().handlers == before


def test_fields_do_not_hide_the_lines_own() -> None:
    configure_logging("INFO", stream := StringIO())
    event(log, "x", time="noon", logger="me")
    (line,) = logged(stream)
    assert (line["time_"], line["logger_"], line["logger"]) == ("noon", "me", "test.telemetry")


odd = st.recursive(
    st.none() | st.floats() | st.text() | st.binary() | st.integers() | st.builds(object) | st.builds(set),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text() | st.integers(), children, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda k: k not in ("level", "exc_info")), odd)
)
def test_no_field_loses_a_line(fields: dict[str, Any]) -> None:
    configure_logging("INFO", stream := StringIO())
    circular: list[object] = []
    circular.append(circular)
    event(log, "odd", **fields)
    event(log, "odd", circular=circular, **fields)
    assert [line["event"] for line in logged(stream)] == ["odd", "odd"]


def test_a_plain_formatter_shows_the_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        event(log, "worker_ready", ring="en")
    assert caplog.messages == ["worker_ready ring='en'"]


def test_a_counter_a_gauge_and_a_histogram() -> None:
    metrics = Metrics()
    metrics.inc(specs.RECORDS, {**STAGE, "outcome": "ok"})
    metrics.inc(specs.RECORDS, {"outcome": "ok", **STAGE}, by=2)
    metrics.set(specs.HEADS_LOADED, {"ring": "en", "cell": "c0"}, 7)
    metrics.observe(specs.QUEUE_SECONDS, STAGE, 0.003)
    sample = metrics.registry.get_sample_value
    assert sample("manyheads_records_total", {**STAGE, "outcome": "ok"}) == 3
    assert sample("manyheads_heads_loaded", {"ring": "en", "cell": "c0"}) == 7
    assert sample("manyheads_queue_seconds_bucket", {**STAGE, "le": "0.0025"}) == 0
    assert sample("manyheads_queue_seconds_bucket", {**STAGE, "le": "0.005"}) == 1


@pytest.mark.parametrize("labels", [{}, STAGE, {**STAGE, "outcom": "ok"}, {**STAGE, "outcome": "ok", "tenant": "acme"}])
def test_labels_are_those_of_the_spec(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="manyheads_records_total has the labels"):
        Metrics().inc(specs.RECORDS, labels)


def test_two_of_them_are_independent() -> None:
    one, two = Metrics(), Metrics()
    one.inc(specs.REGISTRY_SKIPPED, {"code": "x"})
    assert two.registry.get_sample_value("manyheads_registry_skipped_total", {"code": "x"}) is None


def test_no_metrics_takes_every_call() -> None:
    NO_METRICS.inc(specs.RECORDS, {**STAGE, "outcome": "ok"})
    NO_METRICS.set(specs.HEADS_LOADED, {}, 1)
    NO_METRICS.add(specs.HEADS_LOADED, {}, 1)
    NO_METRICS.observe(specs.QUEUE_SECONDS, STAGE, 1)


def test_no_metrics_needs_no_prometheus_client() -> None:
    script = "import sys; sys.modules['prometheus_client'] = None; from manyheads.infra.telemetry import NO_METRICS"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_metrics_are_served_on_loopback() -> None:
    metrics = Metrics()
    metrics.set(specs.HEADS_BYTES, {"ring": "en", "cell": "c0"}, 9)
    with serve_metrics(metrics, 0) as server:
        text = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10).read().decode()
        with pytest.raises(InvalidSettings, match=str(server.port)):
            serve_metrics(metrics, server.port)
    assert 'manyheads_heads_bytes{cell="c0",ring="en"} 9.0' in text
    server.close()
