"""Bytes of version 1 decode for ever, and are still what we write."""

import dataclasses
from pathlib import Path

import pytest

from manyheads.topics.registry import decode_registry_record
from tests.golden.add import add_missing
from tests.golden.cases import CASES, FOLDER, REGISTRY, Case

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@cases
def test_the_file_decodes_to_what_it_means(case: Case) -> None:
    assert case.decode(case.path.read_bytes()) == case.expected


@cases
def test_the_same_bytes_are_written_today(case: Case) -> None:
    assert case.encode() == case.path.read_bytes()


@pytest.mark.parametrize("key", REGISTRY, ids=bytes.decode)
def test_a_registry_record_is_found_under_its_key(key: bytes) -> None:
    record = REGISTRY[key]
    assert record.key == key
    assert decode_registry_record(key, (FOLDER / f"registry-{record.kind}.bin").read_bytes()) == record


def test_no_file_without_a_case_and_no_case_twice() -> None:
    names = [case.name for case in CASES]
    assert sorted(names) == sorted(path.name for path in FOLDER.iterdir())
    assert all(case.why for case in CASES)


def test_adding_never_overwrites(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Elsewhere(Case):
        @property
        def path(self) -> Path:
            return tmp_path / self.name

    def case(name: str, content: bytes) -> Case:
        return Elsewhere(name, "a test", None, lambda: content, bytes)

    assert add_missing((case("a", b"old"),)) == [tmp_path / "a"]
    assert add_missing((case("a", b"new"), case("b", b"b"))) == [tmp_path / "b"]
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"old", b"b")
