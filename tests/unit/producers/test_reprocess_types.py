"""Columns that pass through a bulk job: one type for all inputs, and every value of it as JSON."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyheads.producers.reprocess.columns import spilled_schema
from manyheads.producers.reprocess.options import Destination, JobOptions
from manyheads.producers.reprocess.outputs import json_objects
from manyheads.producers.reprocess.plan import Plan, make_plan
from manyheads.producers.reprocess.reading import InputReader
from manyheads.producers.reprocess.sources import find_sources
from manyheads.producers.reprocess.whole_files import json_line
from manyheads.topics.errors import ErrorCode, InvalidRequest
from manyheads.topics.names import ring

NULL, THREE, TEXT, OBJECT = "null", "3", '"s"', '{"y": 1}'
LARGE = "18446744073709551615"
EXACT = "9007199254740993"
"""what no float is"""


def asked(*inputs: str) -> JobOptions:
    return JobOptions(inputs, tenant_column="t", text_column="q", destination=Destination("out"), ring=ring("en"))


def planned(options: JobOptions) -> Plan:
    reader, sources = InputReader(options), find_sources(options.inputs)
    return make_plan(options, sources, [reader.inspect(source) for source in sources])


def passed(*inputs: str, column: str = "x") -> list[Any]:
    """What the column is in the lines of a JSON output."""
    options = asked(*inputs)
    plan = planned(options)
    reader, schema = InputReader(options), spilled_schema(plan.extras)
    return [
        json.loads(json_line(row), parse_constant=_no_json)[column]
        for number, source in enumerate(plan.sources)
        for batch in reader.batches(source, number, plan.extras, schema)
        for row in json_objects(batch)
    ]


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def lines(path: Path, *values: str) -> str:
    """A file whose rows have the values, each as JSON, in the column ``x``."""
    path.write_text("".join(f'{{"t": "acme", "q": "hello", "x": {value}}}\n' for value in values))
    return str(path)


def table(path: Path, values: Sequence[Any], kind: pa.DataType | None = None) -> str:
    own = pa.array(values, kind)
    pq.write_table(pa.table({"t": ["acme"] * len(own), "q": ["hello"] * len(own), "x": own}), path)
    return str(path)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (NULL, THREE, pa.int64()),
        (NULL, OBJECT, pa.string()),
        (NULL, TEXT, pa.string()),
        (NULL, "true", pa.bool_()),
        (NULL, NULL, pa.string()),
        (OBJECT, "[1, null]", pa.string()),
        (THREE, "1.5", pa.float64()),
        (EXACT, LARGE, pa.string()),
        ("1.5", LARGE, pa.string()),
        (LARGE, LARGE, pa.string()),
        (NULL, LARGE, pa.string()),
    ],
)
def test_files_of_json_have_one_type_that_holds_all(
    tmp_path: Path, one: str, other: str, kind: pa.DataType, turned: bool
) -> None:
    values = [other, one] if turned else [one, other]
    files = [lines(tmp_path / f"{name}.jsonl", value) for name, value in zip("ab", values, strict=True)]
    assert planned(asked(*files)).extras[0].field.type == kind
    assert passed(*files) == [json.loads(value) for value in values]
    # Or all in one file: it makes no difference.
    whole = lines(tmp_path / "whole.jsonl", *values)
    assert passed(whole) == [json.loads(value) for value in values]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (TEXT, OBJECT, ("string", "nested JSON")),
        (THREE, OBJECT, ("int64", "nested JSON")),
        (LARGE, OBJECT, ("whole numbers beyond int64", "nested JSON")),
        (LARGE, TEXT, ("whole numbers beyond int64", "string")),
        (THREE, TEXT, ("int64", "string")),
    ],
)
def test_files_of_json_that_no_type_holds_are_refused(
    tmp_path: Path, one: str, other: str, said: tuple[str, str], turned: bool
) -> None:
    values, shown = ((other, one), said[::-1]) if turned else ((one, other), said)
    files = [lines(tmp_path / f"{name}.jsonl", value) for name, value in zip("ab", values, strict=True)]
    with pytest.raises(InvalidRequest, match=f"'x' is {shown[1]} in .*b.jsonl and {shown[0]} in .*a.jsonl") as caught:
        planned(asked(*files))
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_the_column_that_is_named_is_the_one_that_does_not_fit(tmp_path: Path) -> None:
    shared: dict[str, Any] = {"t": ["acme"], "q": ["hello"]}
    pq.write_table(pa.table(shared | {"n": pa.array([1], pa.int32()), "x": ["s"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table(shared | {"n": [1], "x": [1]}), tmp_path / "b.parquet")
    with pytest.raises(InvalidRequest, match="the column 'x' is int64"):
        planned(asked(str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")))


def test_columns_without_a_value_take_the_type_of_other_inputs_or_are_text(tmp_path: Path) -> None:
    nothing = table(tmp_path / "a.parquet", [None], pa.null())
    assert planned(asked(nothing)).extras[0].field.type == pa.string()
    assert passed(nothing) == [None]
    assert passed(nothing, table(tmp_path / "b.parquet", [3])) == [None, 3]
    assert passed(nothing, lines(tmp_path / "c.jsonl", OBJECT)) == [None, {"y": 1}]
    assert passed(table(tmp_path / "b.parquet", [3]), lines(tmp_path / "d.jsonl", NULL)) == [3, None]
    (tmp_path / "e.csv").write_text("t,q,x\nacme,hello,\n")
    assert passed(str(tmp_path / "e.csv"), nothing, lines(tmp_path / "d.jsonl", NULL)) == ["", None, None]


def test_numbers_of_parquet_and_whole_ones_beyond_int64_are_kept(tmp_path: Path) -> None:
    large = lines(tmp_path / "a.jsonl", LARGE)
    whole = table(tmp_path / "b.parquet", [int(EXACT), None])
    floats = table(tmp_path / "c.parquet", [1.5, 1e20, float("nan"), float("inf")])
    assert passed(large, whole, floats) == [int(LARGE), int(EXACT), None, 1.5, 1e20, None, None]


@pytest.mark.parametrize("value", [LARGE, "-9223372036854775809", "1" + "0" * 400])
def test_whole_numbers_beyond_int64_are_not_rounded(tmp_path: Path, value: str) -> None:
    assert passed(lines(tmp_path / "a.jsonl", EXACT, value, "1.5", NULL)) == [int(EXACT), int(value), 1.5, None]
    with pytest.raises(InvalidRequest, match="mixed types: large number before row 2, text there"):
        planned(asked(lines(tmp_path / "b.jsonl", value, TEXT)))
    ids = tmp_path / "c.jsonl"
    ids.write_text(f'{{"t": {value}, "q": "hello"}}\n')
    with pytest.raises(InvalidRequest, match=r"'t' of .* is whole numbers beyond int64, not text"):
        planned(asked(str(ids)))


def test_a_lone_surrogate_is_a_question_mark_wherever_it_is(tmp_path: Path) -> None:
    nested = lines(tmp_path / "a.jsonl", '{"y\\ud83d": ["cut \\ud83d", "\\ud83d\\ude00"]}')
    assert passed(nested) == [{"y?": ["cut ?", "😀"]}]
    assert passed(lines(tmp_path / "b.jsonl", '"cut \\ud83d"')) == ["cut ?"]
    assert json_line({"x": "cut \ud83d"}) == b'{"x": "cut ?"}'


def test_a_row_with_a_lone_surrogate_in_a_columns_name_has_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"t": "acme", "q": "hello", "x": 1}\n{"t": "acme", "q": "hello", "\\ud83d": 1}\n')
    assert passed(str(path)) == [1, None]
    assert passed(str(path), column="manyheads:reason") == [None, "a column's name has a lone surrogate"]


def test_no_number_is_null(tmp_path: Path) -> None:
    assert passed(lines(tmp_path / "a.jsonl", "NaN", "1.5", "-Infinity", "1e999")) == [None, 1.5, None, None]
    nested = lines(tmp_path / "b.jsonl", '{"y": [NaN, 1.5, 1e999], "z": "NaN"}')
    assert passed(nested) == [{"y": [None, 1.5, None], "z": "NaN"}]
    deep = table(tmp_path / "c.parquet", [{"y": [float("nan"), 1.5]}])
    assert passed(deep) == [{"y": [None, 1.5]}]


_NANOSECONDS = pa.table(
    {
        "time": pa.array([1_234_567_890_123_456_789], pa.timestamp("ns")),
        "before": pa.array([-1], pa.timestamp("ns")),
        "whole": pa.array([1_234_567_890_000_000_000], pa.timestamp("ns")),
        "zoned": pa.array([1_234_567_890_123_456_789], pa.timestamp("ns", "+05:30")),
        "day": pa.array([3_723_000_000_004], pa.time64("ns")),
        "span": pa.array([1_000_000_004], pa.duration("ns")),
        "nothing": pa.array([None], pa.timestamp("ns")),
        "list": pa.array([[1, None]], pa.list_(pa.timestamp("ns"))),
        "struct": pa.array([{"y": 1, "z": [{"y": 2}, None]}]).cast(
            pa.struct([("y", pa.duration("ns")), ("z", pa.list_(pa.struct([("y", pa.timestamp("ns"))])))])
        ),
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.timestamp("ns"))),
    }
)
_WITHOUT_PANDAS = """
import sys
class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
sys.meta_path.insert(0, NoPandas())
import pyarrow.parquet as pq
from manyheads.producers.reprocess.outputs import json_objects
from manyheads.producers.reprocess.whole_files import json_line
for batch in pq.ParquetFile(sys.argv[1]).iter_batches():
    for row in json_objects(batch):
        print(json_line(row).decode())
"""


def test_nanoseconds_are_kept_without_pandas(tmp_path: Path) -> None:
    pq.write_table(_NANOSECONDS, tmp_path / "a.parquet")
    command = [sys.executable, "-c", _WITHOUT_PANDAS, str(tmp_path / "a.parquet")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(said) == {
        "time": "2009-02-13T23:31:30.123456789",
        "before": "1969-12-31T23:59:59.999999999",
        "whole": "2009-02-13T23:31:30",
        "zoned": "2009-02-14T05:01:30.123456789+05:30",
        "day": "01:02:03.000000004",
        "span": "0:00:01.000000004",
        "nothing": None,
        "list": ["1970-01-01T00:00:00.000000001", None],
        "struct": {"y": "0:00:00.000000001", "z": [{"y": "1970-01-01T00:00:00.000000002"}, None]},
        "map": [["k", "1970-01-01T00:00:00.000000001"]],
    }
    # The same with pandas, which is here.
    assert [json.loads(json_line(row)) for row in json_objects(_NANOSECONDS.to_batches()[0])] == [json.loads(said)]


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (253_402_300_800_000_000, pa.timestamp("us"), "10000-01-01 00:00:00.000000"),
        (1 << 60, pa.duration("s"), str(1 << 60)),
    ],
)
def test_times_that_python_has_not_are_text(tmp_path: Path, value: int, kind: pa.DataType, said: str) -> None:
    assert passed(table(tmp_path / "a.parquet", [value, None], kind)) == [said, None]


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("t,q,x,x", "a.csv has 2 columns 'x': give each a name of its own"),
        ("t,q,,", "a.csv has several columns without a name in its header: give each a name"),
    ],
)
def test_columns_of_one_name_are_refused(tmp_path: Path, header: str, hint: str) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"{header}\nacme,hello,1,2\n")
    with pytest.raises(InvalidRequest, match=hint) as caught:
        planned(asked(str(tmp_path / "a.csv"), str(tmp_path / "b.csv")))
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    (tmp_path / "c.csv").write_text("t,q,x,\nacme,hello,1,2\n")
    assert passed(str(tmp_path / "c.csv")) == ["1"]


def test_columns_of_one_name_in_parquet_are_refused(tmp_path: Path) -> None:
    arrays = [pa.array([value]) for value in ("acme", "hello", 1, 2)]
    pq.write_table(pa.Table.from_arrays(arrays, names=["t", "q", "x", "x"]), tmp_path / "a.parquet")
    with pytest.raises(InvalidRequest, match=r"a.parquet has 2 columns 'x'"):
        planned(asked(str(tmp_path / "a.parquet")))


@pytest.mark.parametrize("content", ["t,q,prénom\nacme,hello,1\n", "t,q,x\nacme,hello,é\n"])
def test_a_file_of_another_encoding_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(InvalidRequest, match=r"a.csv cannot be read: .*invalid UTF8 data; check the file"):
        passed(str(tmp_path / "a.csv"))
