"""Inputs of a bulk job: what is found, what is in it, and what is wrong with it, before anything is sent."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

from manyheads.producers.reprocess.columns import FILE, REASON, ROW, TENANT, TEXT, spilled_schema
from manyheads.producers.reprocess.options import Destination, JobOptions
from manyheads.producers.reprocess.plan import Plan, check_same, make_plan
from manyheads.producers.reprocess.reading import InputReader
from manyheads.producers.reprocess.sources import Source, find_sources
from manyheads.topics.errors import ErrorCode, InvalidRequest, WireError
from manyheads.topics.names import ring

ROWS = [
    {"t": "acme", "q": "move 40 euros", "n": 1, "when": "2026-01-01"},
    {"t": "shop", "q": "where is\nmy parcel?", "n": 2, "when": None},
    {"t": "acme", "q": "né 語 😀", "n": 3, "when": "2026-01-02T00:00:00"},
]


def options(*inputs: str, **changes: Any) -> JobOptions:
    given: dict[str, Any] = {
        "tenant_column": "t",
        "text_column": "q",
        "destination": Destination("out"),
        "ring": ring("en"),
    }
    return JobOptions(inputs=inputs, **(given | changes))


def planned(asked: JobOptions) -> Plan:
    reader = InputReader(asked)
    sources = find_sources(asked.inputs)
    return make_plan(asked, sources, [reader.inspect(source) for source in sources])


def read(asked: JobOptions) -> list[dict[str, Any]]:
    plan = planned(asked)
    reader, schema = InputReader(asked), spilled_schema(plan.extras)
    return [
        row
        for number, source in enumerate(plan.sources)
        for batch in reader.batches(source, number, plan.extras, schema)
        for row in batch.to_pylist()
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    match "".join(path.suffixes):
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case ".csv":
            pcsv.write_csv(pa.Table.from_pylist(rows), path)
        case ".jsonl":
            path.write_bytes(lines)
        case ".jsonl.gz":
            path.write_bytes(gzip.compress(lines[:40]) + gzip.compress(lines[40:]))
        case ".jsonl.zst" | ".csv.zst":
            with pa.CompressedOutputStream(str(path), "zstd") as sink:
                sink.write(lines if ".jsonl" in path.name else b"t,q,n\nacme,hello,1\n")
    return str(path)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "jsonl.gz", "jsonl.zst"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    rows = read(options(write(tmp_path / f"log.{suffix}", ROWS)))
    assert [(row[TENANT], row[TEXT]) for row in rows] == [(row["t"], row["q"]) for row in ROWS]
    assert [row[FILE] for row in rows] == [0, 0, 0]
    assert [row[ROW] for row in rows] == [1, 2, 3]
    assert [row[REASON] for row in rows] == [None] * 3
    if suffix == "csv":  # as it is written
        assert [(row["n"], row["when"]) for row in rows] == [(str(row["n"]), row["when"] or "") for row in ROWS]
    else:
        assert [(row["n"], row["when"]) for row in rows] == [(row["n"], row["when"]) for row in ROWS]


def test_inputs_are_files_folders_and_globs_each_file_once(tmp_path: Path) -> None:
    a = write(tmp_path / "a.parquet", ROWS)
    b = write(tmp_path / "b.jsonl", ROWS)
    (tmp_path / "deep").mkdir()
    c = write(tmp_path / "deep" / "c.csv", ROWS)
    (tmp_path / "README").write_text("not a log")
    assert [source.name for source in find_sources([f"{tmp_path}/*.parquet", b, a])] == [a, b]
    assert [source.name for source in find_sources([str(tmp_path)])] == [a, b, c]
    remote = find_sources([f"file://{tmp_path}/*.jsonl"])
    assert [source.name for source in remote] == [f"file://{b}"]
    assert [row[TEXT] for row in read(options(f"file://{b}"))] == [row["q"] for row in ROWS]


def test_a_file_is_one_input_however_it_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = write(tmp_path / "a.jsonl", ROWS)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(a)
    spelt = ["*.jsonl", "./a.jsonl", a, f"file://{a}", "link.jsonl"]
    assert [source.name for source in find_sources(spelt)] == ["a.jsonl"]
    assert [source.name for source in find_sources(spelt[1:])] == ["./a.jsonl"]


def test_a_path_that_is_there_is_no_pattern(tmp_path: Path) -> None:
    plain, bracketed = write(tmp_path / "log1.jsonl", ROWS), write(tmp_path / "log[1].jsonl", ROWS)
    assert [source.name for source in find_sources([bracketed])] == [bracketed]
    assert [source.name for source in find_sources([f"file://{bracketed}"])] == [f"file://{bracketed}"]
    assert [source.name for source in find_sources([f"{tmp_path}/log[0-9].jsonl"])] == [plain]


@pytest.mark.parametrize("protocol", ["", "file://"])
def test_a_folder_that_a_pattern_matches_is_read_like_one_that_is_named(tmp_path: Path, protocol: str) -> None:
    a = write(tmp_path / "a.csv", ROWS)
    (tmp_path / "day.csv").mkdir()
    part = write(tmp_path / "day.csv" / "part-0.csv", ROWS)
    (tmp_path / "day.csv" / "_SUCCESS").write_text("")
    names = [source.name for source in find_sources([f"{protocol}{tmp_path}/*"])]
    assert names == [f"{protocol}{a}", f"{protocol}{part}"]
    assert names == [source.name for source in find_sources([f"{protocol}{a}", f"{protocol}{tmp_path}/day.csv"])]


@pytest.mark.parametrize("protocol", ["", "file://"])
def test_what_lies_in_the_output_is_no_input(tmp_path: Path, protocol: str) -> None:
    a = write(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "out").mkdir()
    (tmp_path / "output").mkdir()
    written, other = write(tmp_path / "out" / "x.jsonl", ROWS), write(tmp_path / "output" / "b.jsonl", ROWS)
    out = f"{protocol}{tmp_path}/out/"
    for asked in (str(tmp_path), f"{tmp_path}/**/*.jsonl"):
        assert [source.name for source in find_sources([asked], out)] == [a, other]
    for asked in (written, f"{tmp_path}/out"):
        with pytest.raises(InvalidRequest, match="the output, which is not read: take another --out"):
            find_sources([asked], out)


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("a.parquet", b"", "is empty"),
        ("a.parquet", b"PAR1 but no more", "cannot be read"),
        ("a.csv", b"t,q\n", "is empty"),
        ("a.csv", b"t,q\nacme,a\nacme,a,b\n", "Expected|expected"),
        ("a.csv", b"t,q\nacme,\xff\xfe\n", "cannot be read"),
        ("a.jsonl.gz", b"no gzip", "cannot be read"),
        ("a.jsonl", b"\n\n", "is empty"),
        ("a.txt", b"t,q\n", "no kind that is known"),
        ("a.csv", b"t,text\nacme,a\n", "no column 'q'; it has 't', 'text'"),
        ("a.csv", b"t,q,q\nacme,a,b\n", "more than one column 'q'"),
        ("a.jsonl", b'{"t": "acme", "q": "a"}\n{"t": "acme", "q": 3}\n', "mixed types: text before row 2, whole there"),
        ("a.jsonl", b'{"t": "a", "q": "a", "x": {}}\n{"t": "a", "q": "a", "x": true}\n', "'x' .* mixed types"),
        ("a.jsonl", b'{"t": "acme", "q": 3}\n', "is int64, not text"),
        ("a.jsonl", b'{"t": "acme", "q": ["a"]}\n{"t": "acme", "q": ["b"]}\n', "not text"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_sent(tmp_path: Path, name: str, content: bytes, hint: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidRequest, match=hint) as caught:
        read(options(str(tmp_path / name)))
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize("pattern", ["*.parquet", "nowhere.csv", "file:///nowhere/*.csv", "nosuch://bucket/a.csv"])
def test_an_input_that_is_nothing_is_an_error(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InvalidRequest, match=r"check the (path|file)"):
        find_sources([pattern if "://" in pattern else f"{tmp_path}/{pattern}"])


def test_types_that_differ_between_files_are_an_error_unless_one_holds_both(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.parquet", [{"t": "a", "q": "b", "n": 1}])
    number = write(tmp_path / "b.parquet", [{"t": "a", "q": "b", "n": 1.5}])
    text = write(tmp_path / "c.parquet", [{"t": "a", "q": "b", "n": "1"}])
    fewer = write(tmp_path / "d.parquet", [{"t": "a", "q": "b"}])
    assert [row["n"] for row in read(options(whole, number, fewer))] == [1.0, 1.5, None]
    with pytest.raises(InvalidRequest, match=r"'n' is string in .*c\.parquet and int64"):
        planned(options(whole, text))


def test_a_line_that_is_no_object_is_a_row_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"t": "acme", "q": "a"}\n{"t":\n\n[1]\n{"q": "b"}\n{"t": "b", "q": "\\ud800"}\n')
    rows = read(options(str(path)))
    assert [(row[ROW], row[TENANT], row[TEXT]) for row in rows] == [
        (1, "acme", "a"),
        (2, None, None),
        (4, None, None),
        (5, None, "b"),
        (6, "b", None),
    ]
    assert [row[REASON] for row in rows][:4] == [None, "not JSON: JSONDecodeError", "a JSON list, not an object", None]
    assert "surrogate" in rows[4][REASON]


def test_nested_values_pass_through_as_json(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"t": "a", "q": "b", "x": {"y": [1, None]}}, {"t": "a", "q": "b"}])
    assert [row["x"] for row in read(options(path))] == ['{"y": [1, null]}', None]


def test_a_column_with_a_results_name_is_renamed(tmp_path: Path) -> None:
    row = {"t": "a", "q": "b", "intent": "old", "input_intent": "older", "tenant": "x"}
    plan = planned(options(write(tmp_path / "a.parquet", [row])))
    assert [(extra.source, extra.field.name) for extra in plan.extras] == [
        ("intent", "input_intent"),
        ("input_intent", "input_input_intent"),
        ("tenant", "input_tenant"),
    ]


def test_dictionary_columns_are_text_and_numbers_may_name_tenants(tmp_path: Path) -> None:
    table = pa.table({"t": pa.array([7, 8]), "q": pa.array(["a", "b"]).dictionary_encode()})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [(row[TENANT], row[TEXT]) for row in read(options(str(tmp_path / "a.parquet")))] == [("7", "a"), ("8", "b")]


def test_a_plan_survives_its_record_and_knows_another_job(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ROWS)
    asked = options(path, bucket_rows=2, limit=3)
    plan = planned(asked)
    assert Plan.from_bytes(plan.to_bytes()) == plan
    assert (plan.buckets, plan.rows, plan.partitions) == (2, 3, 2)
    files = find_sources([path])
    check_same("j", plan, asked.identity(), files)
    with pytest.raises(InvalidRequest, match="text_column 'q', not 't2'"):
        check_same("j", plan, options(path, bucket_rows=2, limit=3, text_column="t2").identity(), files)
    write(tmp_path / "a.parquet", ROWS * 5)
    with pytest.raises(InvalidRequest, match="have changed since it began"):
        check_same("j", plan, asked.identity(), find_sources([path]))
    with pytest.raises(InvalidRequest, match="have changed"):
        check_same("j", plan, asked.identity(), [*files, Source("b.csv", files[0].format, 7)])


@pytest.mark.parametrize("value", [b"", b"[]", b'{"v": 9}', b'{"v": 1}'])
def test_a_plan_of_another_version_is_an_error(value: bytes) -> None:
    with pytest.raises(WireError, match="take another --job"):
        Plan.from_bytes(value)


def test_the_same_command_is_the_same_job() -> None:
    assert options("a", "b").default_job() == options("a", "b").default_job()
    others = [options("a"), options("b", "a"), options("a", "b", limit=3), options("a", "b", keep_text=False)]
    assert len({each.default_job() for each in [*others, options("a", "b")]}) == 5
