"""Every metric, once: its name, type, labels and buckets. ``manyheads.infra.telemetry`` makes them real."""

from dataclasses import dataclass
from enum import StrEnum


class MetricKind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric. Counters' names end in ``_total``, times are seconds, sizes bytes, as Prometheus asks."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_STAGE = ("stage", "ring", "lane")
# Between 5 and 100 ms, where the 99th percentile of a healthy pipeline lies, no bucket is wider than half its bound.
_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2),
    *(0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)

RECORDS = MetricSpec(
    "manyheads_records_total",
    MetricKind.COUNTER,
    "Records finished, by outcome: ok or an error code.",
    (*_STAGE, "outcome"),
)
DEAD_LETTERS = MetricSpec(
    "manyheads_dead_letters_total",
    MetricKind.COUNTER,
    "Records put on a dead-letter topic.",
    (*_STAGE, "code"),
)
QUEUE_SECONDS = MetricSpec(
    "manyheads_queue_seconds",
    MetricKind.HISTOGRAM,
    "From a record's timestamp to its compute.",
    _STAGE,
    _SECONDS,
)
COMPUTE_SECONDS = MetricSpec(
    "manyheads_compute_seconds", MetricKind.HISTOGRAM, "Compute of one batch.", _STAGE, _SECONDS
)
PUBLISH_SECONDS = MetricSpec(
    "manyheads_publish_seconds",
    MetricKind.HISTOGRAM,
    "From publishing to the broker's acknowledgement.",
    _STAGE,
    _SECONDS,
)
REQUEST_SECONDS = MetricSpec(
    "manyheads_request_seconds",
    MetricKind.HISTOGRAM,
    "From a request's own timestamp until the stage was done with it; at the head stage, the whole way to its reply.",
    _STAGE,
    _SECONDS,
)
BATCH_RECORDS = MetricSpec(
    "manyheads_batch_records",
    MetricKind.HISTOGRAM,
    "Records in one compute.",
    _STAGE,
    (1, 2, 4, 8, 16, 32, 64, 128, 256),
)
BATCH_TOKENS = MetricSpec(
    "manyheads_batch_tokens",
    MetricKind.HISTOGRAM,
    "Tokens in one encoder run.",
    ("ring",),
    (8, 16, 32, 64, 128, 256, 512, 1024, 2048),
)
HEADS_LOADED = MetricSpec(
    "manyheads_heads_loaded", MetricKind.GAUGE, "Heads resident in this worker.", ("ring", "cell")
)
HEADS_BYTES = MetricSpec("manyheads_heads_bytes", MetricKind.GAUGE, "Bytes of resident heads.", ("ring", "cell"))
IN_FLIGHT = MetricSpec("manyheads_in_flight_records", MetricKind.GAUGE, "Records taken and not yet finished.", _STAGE)
LANES_HALTED = MetricSpec(
    "manyheads_lane_halted",
    MetricKind.GAUGE,
    "Inputs of the lane that this worker has stopped reading, because nearly all of their records failed.",
    _STAGE,
)

REGISTRY_SKIPPED = MetricSpec(
    "manyheads_registry_skipped_total",
    MetricKind.COUNTER,
    "Records on the registry topic that were none of ours, by error code.",
    ("code",),
)

REGISTRY_GENERATION = MetricSpec(
    "manyheads_registry_generation", MetricKind.GAUGE, "Changes of the registry that this worker has seen."
)
REGISTRY_BEHIND = MetricSpec(
    "manyheads_registry_behind_records",
    MetricKind.GAUGE,
    "Records of the registry topic that this worker has not read yet.",
)
HEAD_LOADS = MetricSpec(
    "manyheads_head_loads_total",
    MetricKind.COUNTER,
    "Heads loaded, or not, by outcome: ok or an error code; trigger request is a load that a request waited for.",
    ("ring", "cell", "trigger", "outcome"),
)
HEAD_LOAD_SECONDS = MetricSpec(
    "manyheads_head_load_seconds",
    MetricKind.HISTOGRAM,
    "Load of one head, its fetch included.",
    ("ring", "cell"),
    _SECONDS,
)
HEAD_SWAPS = MetricSpec(
    "manyheads_head_swaps_total",
    MetricKind.COUNTER,
    "Heads loaded to take the place of another of their tenant.",
    ("ring", "cell"),
)
REPORTS = MetricSpec(
    "manyheads_reports_total",
    MetricKind.COUNTER,
    "Reports of this worker that the broker has (ok), or that were given up (failed).",
    ("outcome",),
)
BUILD_INFO = MetricSpec("manyheads_build_info", MetricKind.GAUGE, "1, with the version of manyheads.", ("version",))
ENCODER_INFO = MetricSpec(
    "manyheads_encoder_info",
    MetricKind.GAUGE,
    "1, with the encoder that this worker serves.",
    ("ring", "version", "space"),
)

_CLIENT = ("ring", "lane")
CLIENT_REQUESTS = MetricSpec(
    "manyheads_client_requests_total",
    MetricKind.COUNTER,
    "Calls of the SDK that ended, by outcome: ok, an error code, or cancelled by the caller.",
    (*_CLIENT, "outcome"),
)
CLIENT_REQUEST_SECONDS = MetricSpec(
    "manyheads_client_request_seconds",
    MetricKind.HISTOGRAM,
    "From a call of the SDK to its outcome.",
    _CLIENT,
    _SECONDS,
)
CLIENT_IN_FLIGHT = MetricSpec(
    "manyheads_client_in_flight_requests",
    MetricKind.GAUGE,
    "Calls of the SDK that wait for their outcome.",
    _CLIENT,
)

CLIENT_METRICS = (CLIENT_REQUESTS, CLIENT_REQUEST_SECONDS, CLIENT_IN_FLIGHT)
"""Those of a process that uses the SDK."""

ALL_METRICS = (
    RECORDS,
    DEAD_LETTERS,
    QUEUE_SECONDS,
    COMPUTE_SECONDS,
    PUBLISH_SECONDS,
    REQUEST_SECONDS,
    BATCH_RECORDS,
    BATCH_TOKENS,
    HEADS_LOADED,
    HEADS_BYTES,
    IN_FLIGHT,
    LANES_HALTED,
    REGISTRY_SKIPPED,
    REGISTRY_GENERATION,
    REGISTRY_BEHIND,
    HEAD_LOADS,
    HEAD_LOAD_SECONDS,
    HEAD_SWAPS,
    REPORTS,
    BUILD_INFO,
    ENCODER_INFO,
)
"""Those of a worker."""
