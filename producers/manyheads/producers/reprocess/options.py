"""What a user asks of a job: what must be the same in all its processes, and what is each one's own."""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from manyheads.topics.errors import ErrorCode, InvalidRequest
from manyheads.topics.names import Lane, RingName

TOPIC_PREFIX = "topic:"
"""of an input or an output that is a Kafka topic"""
_ID_LENGTH = 12


class OutputFormat(StrEnum):
    """How files are written."""

    PARQUET = "parquet"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where answered rows go: to files under a folder, or to a topic."""

    url: str
    """the folder; empty for a topic"""
    format: OutputFormat = OutputFormat.PARQUET
    topic: str | None = None

    @property
    def shown(self) -> str:
        """As a person would write it."""
        return self.url if self.topic is None else f"{TOPIC_PREFIX}{self.topic}"


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What the output depends on. All processes of a job have the same."""

    inputs: tuple[str, ...]
    """paths, globs, URLs, or ``topic:NAME``"""
    tenant_column: str
    text_column: str
    destination: Destination
    ring: RingName
    lane: Lane = Lane.BATCH
    keep_text: bool = True
    dedupe: bool = True
    """whether each distinct text is sent once, for all its tenants; else each row is a request"""
    limit: int | None = None
    """the first rows only"""
    sample: float | None = None
    """about this share of the rows, always the same ones"""
    since: str | None = None
    """of a topic, records from this time on, as it was asked for: what it meant when the job began is in the plan"""
    bucket_rows: int = 20_000
    """rows of one bucket, about: what is done again after a crash at most"""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InvalidRequest(ErrorCode.INVALID_ARGUMENT, "there is no input: name files, globs, URLs or topic:NAME")
        if self.tenant_column == self.text_column:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT,
                f"{self.text_column!r} cannot be both the tenant's column and the text's: name two columns",
            )

    def identity(self) -> dict[str, object]:
        """All of it as JSON has it, to compare."""
        plain: dict[str, object] = json.loads(json.dumps(asdict(self)))
        return plain

    def default_job(self) -> str:
        """The job's name if none is given: the same command is the same job."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]


@dataclass(frozen=True, slots=True)
class Pace:
    """How one process of a job sends."""

    in_flight: int = 2_000
    """answers that are waited for at one time"""
    rate: float | None = None
    """requests a second at most"""
    timeout_s: float = 120.0
    """after which an unanswered request is sent again"""


DEFAULT_PACE = Pace()
