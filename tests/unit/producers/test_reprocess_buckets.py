"""Rows through buckets: each once, whatever the buckets, their order and what died meanwhile."""

import json
import random
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyheads.infra.settings import KafkaSettings
from manyheads.producers.answer import Answer, Entity
from manyheads.producers.reprocess.columns import FILE, REASON, ROW, TENANT, TEXT, ExtraColumn, spilled_schema
from manyheads.producers.reprocess.options import Destination, OutputFormat
from manyheads.producers.reprocess.outputs import output_of
from manyheads.producers.reprocess.plan import Plan
from manyheads.producers.reprocess.rows import RowWriter
from manyheads.producers.reprocess.scratch import Scratch
from manyheads.producers.reprocess.sources import Source, SourceFormat
from manyheads.producers.reprocess.spill import Spill, bucket_numbers, chosen
from manyheads.producers.reprocess.work import Ask, Key, Outcome, Reject, Row, asks_of, refusal
from manyheads.topics.errors import ErrorCode, InvalidRequest, RoutingError
from manyheads.topics.messages import Intent, StageTiming, Timings, Versions
from manyheads.topics.names import TenantName, space, version

EXTRAS = (ExtraColumn("n", pa.field("n", pa.int64())),)
SCHEMA = spilled_schema(EXTRAS)
VERSIONS = Versions(head=version("h1"), encoder=version("e1"), space=space("s1"))
NO_TIME = StageTiming(queue_ms=0.0, compute_ms=0.0)

texts = st.none() | st.sampled_from(["yes", "no", "move 40 euros", "", "\x00"]) | st.text(max_size=6)
tenants = st.none() | st.sampled_from(["acme", "shop", "zoo", "Bad Tenant"])


def batch(rows: Sequence[tuple[str | None, str | None]], file: int = 0, first: int = 1) -> pa.RecordBatch:
    numbers = list(range(first, first + len(rows)))
    columns = {
        FILE: [file] * len(rows),
        ROW: numbers,
        REASON: [None] * len(rows),
        TENANT: [tenant for tenant, _ in rows],
        TEXT: [text for _, text in rows],
        "n": [10 * number for number in numbers],
    }
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


def answer(tenant: str, text: str) -> Answer:
    """What only this tenant says to this text."""
    return Answer(
        tenant=tenant,
        intents=(Intent(name=f"{tenant}:{text!r}"[:200], confidence=0.5),),
        entities=(Entity("all", 0, len(text), text, 1.0),),
        versions=VERSIONS,
        timings=Timings(encoder=NO_TIME, head=NO_TIME),
        truncation=None,
        latency_ms=1.0,
    )


def answered(asks: Sequence[Ask]) -> dict[Key, Outcome]:
    outcomes: dict[Key, Outcome] = {}
    for ask in asks:
        for tenant in ask.tenants:
            unknown = RoutingError(ErrorCode.UNKNOWN_TENANT, "nobody")
            outcomes[ask.key(tenant)] = unknown if tenant == "zoo" else answer(tenant, ask.text)
    return outcomes


def plan(buckets: int) -> Plan:
    return Plan({}, (Source("a.csv", SourceFormat.CSV, 1), Source("b.csv", SourceFormat.CSV, 1)), EXTRAS, buckets, 100)


def spilled(spill: Spill, batches: Sequence[pa.RecordBatch], buckets: int, *, dedupe: bool) -> None:
    for each in batches:
        spill.add(each, bucket_numbers(each, buckets, by_text=dedupe))
    spill.flush()


def through(
    spill: Spill, order: Sequence[int], writer: RowWriter, *, dedupe: bool
) -> tuple[list[dict[str, object]], list[Reject], list[Ask]]:
    """Answered rows, rejected rows and asks of the buckets, done in this order."""
    rows, rejects, asked = [], [], []
    for bucket in order:
        asks = asks_of(spill.read(bucket), dedupe=dedupe)
        asked += asks
        outcomes: Mapping[Key, Outcome] = answered(asks)
        for part in spill.read(bucket):
            written = writer.write(part, outcomes)
            rows += written.answered.to_pylist()
            rejects += written.rejected
    return rows, rejects, asked


@settings(max_examples=60, deadline=None)
@given(
    files=st.lists(st.lists(st.tuples(tenants, texts), max_size=30), min_size=1, max_size=2),
    buckets=st.integers(1, 7),
    dedupe=st.booleans(),
    order=st.randoms(),
)
def test_each_row_is_answered_or_rejected_once(
    files: list[list[tuple[str | None, str | None]]], buckets: int, dedupe: bool, order: random.Random
) -> None:
    batches = [batch(rows[i : i + 7], file, i + 1) for file, rows in enumerate(files) for i in range(0, len(rows), 7)]
    numbers = list(range(buckets))
    order.shuffle(numbers)
    with Spill(SCHEMA, range(buckets)) as spill:
        spilled(spill, batches, buckets, dedupe=dedupe)
        writer = RowWriter(plan(buckets), keep_text=True, dedupe=dedupe)
        rows, rejects, asked = through(spill, numbers, writer, dedupe=dedupe)
        assert sum(spill.rows.values()) == sum(map(len, files))
    given_rows = {(file, row + 1): pair for file, rows in enumerate(files) for row, pair in enumerate(rows)}
    places = [(("a.csv", "b.csv").index(str(row["input_file"])), row["input_row"]) for row in rows]
    assert Counter([*places, *((each.file, each.row) for each in rejects)]) == Counter(given_rows.keys())
    for place, row in zip(places, rows, strict=True):
        tenant, text = given_rows[place]  # type: ignore[index]
        assert (row["tenant"], row["text"], row["intent"]) == (tenant, text, f"{tenant}:{text!r}"[:200])
        assert row["n"] == 10 * place[1]  # type: ignore[operator]
    usable = {pair for pair in given_rows.values() if refusal(Row(0, 0, *pair, None)) is None}
    if dedupe:
        assert Counter(ask.text for ask in asked) == Counter({text for _, text in usable})
        assert {(tenant, ask.text) for ask in asked for tenant in ask.tenants} == usable
    else:
        assert all(len(ask.tenants) == 1 for ask in asked)
    assert {each.code for each in rejects if each.tenant == "zoo"} <= {
        "unknown_tenant",
        "text_empty",
        "text_control_character",
    }


def test_a_bucket_that_nobody_wants_is_not_kept() -> None:
    rows = [("acme", f"text {number}") for number in range(100)]
    with Spill(SCHEMA, [1]) as spill:
        spilled(spill, [batch(rows)], 4, dedupe=True)
        assert list(spill.rows) == [1]
        assert not list(spill.read(0))
        assert sum(part.num_rows for part in spill.read(1)) == spill.rows[1]


def test_what_is_flushed_several_times_is_read_in_order_and_gone_in_the_end(tmp_path: Path) -> None:
    with Spill(SCHEMA, [0], tmp_path) as spill:
        for first in range(0, 30, 10):
            spill.add(
                batch([("acme", "yes")] * 10, first=first), bucket_numbers(batch([("a", "b")] * 10), 1, by_text=True)
            )
            spill.flush()
        found = [row for part in spill.read(0) for row in part.column(ROW).to_pylist()]
        assert found == list(range(30))
        assert list(tmp_path.iterdir())
        spill.drop(0)
        assert not list(spill.read(0))
    assert not list(tmp_path.iterdir())


def test_limit_and_sample_choose_the_same_rows_every_time() -> None:
    batches = [batch([("acme", "x")] * 500, first=first) for first in range(1, 2_001, 500)]

    def rows(limit: int | None, sample: float | None) -> list[int]:
        return [row for part in chosen(batches, limit=limit, sample=sample) for row in part.column(ROW).to_pylist()]

    assert rows(700, None) == list(range(1, 701))
    sampled = rows(None, 0.25)
    assert sampled == rows(None, 0.25)
    assert 400 < len(sampled) < 600
    assert rows(100, 0.25) == sampled[:100]
    assert rows(None, 1.0) == list(range(1, 2_001))


@pytest.mark.parametrize("kind", list(OutputFormat))
def test_a_bucket_that_is_written_twice_is_there_once(tmp_path: Path, kind: OutputFormat) -> None:
    output = output_of(KafkaSettings(), Destination(str(tmp_path / "out"), kind), "j", None)
    output.claim(0)
    writer = RowWriter(plan(2), keep_text=True, dedupe=True)
    outcomes = answered([Ask("yes", ("acme", "shop"))])  # type: ignore[arg-type]

    def rows(bucket: int) -> Iterator[pa.RecordBatch]:
        yield writer.write(batch([("acme", "yes"), ("shop", "yes")], first=10 * bucket), outcomes).answered

    for bucket in (0, 1, 0):
        assert output.write(bucket, writer.schema, lambda bucket=bucket: rows(bucket)) is None  # type: ignore[misc]
    found = _read(tmp_path / "out", kind)
    assert sorted((row["tenant"], row["input_row"]) for row in found) == [
        ("acme", 0),
        ("acme", 10),
        ("shop", 1),
        ("shop", 11),
    ]
    assert found[0]["entities"] == [{"label": "all", "text": "yes", "start": 0, "end": 3, "confidence": 1.0}]
    assert found[0]["versions"] == {"head": "h1", "encoder": "e1", "space": "s1"}


def _read(folder: Path, kind: OutputFormat) -> list[dict[str, object]]:
    if kind is OutputFormat.JSONL:
        return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
    rows: list[dict[str, object]] = ds.dataset(folder, partitioning="hive").to_table().to_pylist()
    return rows


def test_a_bucket_that_fails_in_the_middle_leaves_nothing_to_read(tmp_path: Path) -> None:
    output = output_of(KafkaSettings(), Destination(str(tmp_path / "out")), "j", None)
    output.claim(0)
    writer = RowWriter(plan(1), keep_text=False, dedupe=True)

    def rows() -> Iterator[pa.RecordBatch]:
        yield writer.write(batch([("acme", "yes")]), answered([Ask("yes", ("acme",))])).answered  # type: ignore[arg-type]
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        output.write(0, writer.schema, rows)
    assert not list((tmp_path / "out").glob("tenant=*/*"))
    assert "text" not in writer.schema.names


def test_an_output_is_one_jobs(tmp_path: Path) -> None:
    destination = Destination(str(tmp_path / "out"))
    for _ in range(2):
        output_of(KafkaSettings(), destination, "a", None).claim(0)
    with pytest.raises(InvalidRequest, match="holds the output of job a"):
        output_of(KafkaSettings(), destination, "b", None).claim(0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidRequest, match="cannot be written"):
        output_of(KafkaSettings(), Destination(str(tmp_path / "file" / "out")), "a", None).claim(0)


def test_an_output_that_has_lost_what_was_done_is_refused(tmp_path: Path) -> None:
    destination = Destination(str(tmp_path / "out"))
    with pytest.raises(InvalidRequest, match="3 buckets of job a are done, and their output is not in") as caught:
        output_of(KafkaSettings(), destination, "a", None).claim(3)
    assert caught.value.details["done"] == 3
    assert not (tmp_path / "out").exists()
    output_of(KafkaSettings(), destination, "a", None).claim(0)
    output_of(KafkaSettings(), destination, "a", None).claim(3)


@pytest.mark.parametrize("topic", [None, "answers"])
def test_rejects_that_name_a_folder_are_refused_at_once(tmp_path: Path, topic: str | None) -> None:
    destination = Destination("" if topic else str(tmp_path / "out"), topic=topic)
    with pytest.raises(InvalidRequest, match="is a folder: name a file"):
        output_of(KafkaSettings(), destination, "a", str(tmp_path)).claim(0)


def test_a_bucket_has_more_tenants_than_a_process_may_have_files(tmp_path: Path) -> None:
    output = output_of(KafkaSettings(), Destination(str(tmp_path / "out")), "j", None)
    output.claim(0)
    writer = RowWriter(plan(1), keep_text=True, dedupe=True)
    tenants = [TenantName(f"t{number:03}") for number in range(150)]
    outcomes = answered([Ask("yes", tuple(tenants))])

    def rows() -> Iterator[pa.RecordBatch]:
        for first in range(0, 450, 90):
            asked = [(tenants[number % 150], "yes") for number in range(first, first + 90)]
            yield writer.write(batch(asked, first=first), outcomes).answered

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, hard))
    try:
        output.write(0, writer.schema, rows)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    found = _read(tmp_path / "out", OutputFormat.PARQUET)
    assert [(row["tenant"], row["input_row"]) for row in found] == [
        (name, place + turn) for place, name in enumerate(tenants) for turn in (0, 150, 300)
    ]


def test_rejects_are_whole_files(tmp_path: Path) -> None:
    output = output_of(KafkaSettings(), Destination(str(tmp_path / "out")), "j", str(tmp_path / "bad.jsonl"))
    for lines in ([{"row": 1}, {"row": 2}], [{"row": 1}]):
        assert output.write_rejects(lines) == str(tmp_path / "bad.jsonl")
    assert (tmp_path / "bad.jsonl").read_text() == '{"row": 1}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]


def test_what_a_killed_process_left_is_deleted_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    code = "import sys, pathlib; from manyheads.producers.reprocess.scratch import Scratch; "
    code += "print(Scratch(pathlib.Path(sys.argv[1])).__enter__().path, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with Scratch(tmp_path) as living:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
            assert victim.stdout is not None
            left = Path(victim.stdout.readline().strip())
            with Scratch(tmp_path):
                assert left.is_dir()
            victim.kill()
            victim.wait()
        assert left.is_dir()
        with Scratch(tmp_path) as later:
            assert not left.exists()
            assert sorted(tmp_path.iterdir()) == sorted([living.path, later.path])
    assert not list(tmp_path.iterdir())
