"""When a worker traces, and what it does where it cannot."""

import json
import subprocess
import sys

import pytest

from manyheads.infra.telemetry.tracing import exporters_in
from tests.support.otlp import collecting


@pytest.mark.parametrize(
    ("environment", "exporters"),
    [
        ({}, ()),
        ({"OTEL_SERVICE_NAME": "nlu", "OTEL_TRACES_SAMPLER": "always_on"}, ()),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ("otlp_proto_http",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, ("otlp_proto_http",)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp_proto_http",)),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("otlp_proto_grpc",)),
        ({"OTEL_TRACES_EXPORTER": " console, otlp"}, ("console", "otlp_proto_http")),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "True"}, ()),
    ],
)
def test_what_the_variables_ask_for(environment: dict[str, str], exporters: tuple[str, ...]) -> None:
    assert exporters_in(environment) == exporters


_PROGRAM = """
import sys
{before}
from manyheads.infra.telemetry import configure_logging
from manyheads.infra.telemetry.tracing import worker_tracer

configure_logging("INFO", sys.stdout)
with worker_tracer("manyheads-test-worker", "w-0") as tracer:
    if tracer is not None:
        tracer.start_span("span").end()
    print("traced" if tracer else "not traced", "opentelemetry" in sys.modules)
"""


def run(before: str = "", **environment: str) -> list[str]:
    """What a process says that opens a worker's tracer."""
    command = [sys.executable, "-c", _PROGRAM.format(before=before)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path), **environment}
    )
    return done.stdout.splitlines()


def test_without_being_asked_to_it_imports_nothing() -> None:
    assert run() == ["not traced False"]


def test_a_worker_that_is_asked_to_exports_what_it_made_at_its_end() -> None:
    with collecting() as collector:
        run(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
        run(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_SERVICE_NAME="mine")
        run(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_TRACES_SAMPLER="always_off")
        assert [(span.name, span.service) for span in collector.spans] == [
            ("span", "manyheads-test-worker"),
            ("span", "mine"),
        ]


@pytest.mark.parametrize(
    ("before", "exporter", "reason"),
    [
        ("sys.modules['opentelemetry.sdk'] = None", "otlp", "opentelemetry.sdk"),
        ("", "otlp_of_nobody", "no exporter of spans named otlp_of_nobody is installed"),
    ],
)
def test_one_that_cannot_says_so_and_serves(before: str, exporter: str, reason: str) -> None:
    said, traced = run(before, OTEL_TRACES_EXPORTER=exporter)
    line = json.loads(said)
    assert (line["event"], line["level"]) == ("tracing_unavailable", "warning")
    assert reason in line["reason"]
    assert "manyheads[otel]" in line["advice"]
    assert traced.startswith("not traced")


def test_a_collector_that_is_away_does_not_hold_up_the_end() -> None:
    lines = run(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert "traced True" in lines


def test_under_opentelemetrys_launcher_its_provider_is_taken() -> None:
    before = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
exporter = ConsoleSpanExporter(formatter=lambda span: f"exported {span.name}\\n")
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
"""
    assert run(before) == ["exported span", "traced True"]
