"""What all processes of a job agree on: the first record of the job's topic. Pure."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import pyarrow as pa

from manyheads.producers.reprocess.columns import ExtraColumn, common_schema, extra_columns, output_schema
from manyheads.producers.reprocess.options import JobOptions
from manyheads.producers.reprocess.reading import Inspection
from manyheads.producers.reprocess.sources import Source, SourceFormat
from manyheads.topics.errors import ErrorCode, InvalidRequest, WireError

_VERSION = 1
MAX_BUCKETS = 4_096
MAX_PARTITIONS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """A job: its inputs as they were when it began, and into how many buckets their rows go."""

    options: dict[str, Any]
    """:meth:`JobOptions.identity`"""
    sources: tuple[Source, ...]
    extras: tuple[ExtraColumn, ...]
    buckets: int
    rows: int
    """of the inputs, about"""

    @property
    def partitions(self) -> int:
        """Of the job's topic: what is shared among processes."""
        return min(self.buckets, MAX_PARTITIONS)

    def partition_of(self, bucket: int) -> int:
        """Where a bucket's completion is recorded: whoever has that partition does the bucket."""
        return bucket % self.partitions

    def output_schema(self, *, with_text: bool) -> pa.Schema:
        """What an output row has."""
        return output_schema([extra.field for extra in self.extras], with_text=with_text)

    def to_bytes(self) -> bytes:
        """As a record's value."""
        fields = pa.schema([extra.field for extra in self.extras]).serialize().to_pybytes()
        plain = {
            "v": _VERSION,
            "options": self.options,
            "sources": [asdict(source) for source in self.sources],
            "extras": {"sources": [extra.source for extra in self.extras], "arrow": base64.b64encode(fields).decode()},
            "buckets": self.buckets,
            "rows": self.rows,
        }
        return json.dumps(plain, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        """The plan of a record. Raises WireError(malformed_message)."""
        try:
            plain = _unpacked(value)
            fields = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(plain["extras"]["arrow"])))
            return cls(
                options=plain["options"],
                sources=tuple(
                    Source(**(source | {"format": SourceFormat(source["format"])})) for source in plain["sources"]
                ),
                extras=tuple(map(ExtraColumn, plain["extras"]["sources"], fields)),
                buckets=int(plain["buckets"]),
                rows=int(plain["rows"]),
            )
        except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise WireError(
                ErrorCode.MALFORMED_MESSAGE,
                f"the job's plan cannot be read ({error!r:.100}): another version wrote it; take another --job",
            ) from error


def _unpacked(value: bytes) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(value)
    if plain["v"] != _VERSION:
        raise ValueError(f"its version is {plain['v']!r:.20}")
    return plain


def make_plan(options: JobOptions, sources: Sequence[Source], inspections: Sequence[Inspection]) -> Plan:
    """The plan of a new job. Raises InvalidRequest for columns that are missing or do not fit together."""
    for source, found in zip(sources, inspections, strict=True):
        extra_columns(found.schema, options, source.name)
    schema = common_schema([(source.name, found.schema) for source, found in zip(sources, inspections, strict=True)])
    rows = sum(found.rows for found in inspections)
    if options.limit is not None:
        rows = min(rows, options.limit)
    return Plan(
        options=options.identity(),
        sources=tuple(sources),
        extras=extra_columns(schema, options, "the input"),
        buckets=max(1, min(MAX_BUCKETS, -(-rows // options.bucket_rows))),
        rows=rows,
    )


def check_same(job: str, agreed: Plan, options: Mapping[str, Any], files: Sequence[Source]) -> None:
    """Raises InvalidRequest if a job began otherwise than this process would begin it.

    Args:
        job: its name.
        agreed: its plan.
        options: :meth:`JobOptions.identity` of this process.
        files: the inputs as they are now, topics unread.
    """
    for name, value in options.items():
        if agreed.options.get(name) != value:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT,
                f"job {job} began with {name} {agreed.options.get(name)!r:.200}, not {value!r:.200}: give the same "
                "options again, or another --job",
                option=name,
            )
    began = {source.name: source.size for source in agreed.sources if source.format is not SourceFormat.TOPIC}
    now = {source.name: source.size for source in files if source.format is not SourceFormat.TOPIC}
    changed = sorted(name for name in began.keys() | now.keys() if began.get(name) != now.get(name))
    if changed:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"the inputs of job {job} have changed since it began, {changed[0]} for one: bring them back, or take "
            "another --job and another output",
            input=changed[0],
            changed=len(changed),
        )
