"""A stage that breaks its protocol harms its own jobs only."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.kafka.records import Record
from manyheads.infra.stage.compute import outcomes
from manyheads.infra.stage.work import Answer, Job, Outcome
from manyheads.topics.errors import ErrorCode, InternalError
from manyheads.topics.headers import Envelope, ReplyAddress
from manyheads.topics.names import tenant

Yields = Iterator[tuple[Any, Any]]


class _Stage:
    name = "encoder"

    def __init__(self, process: Callable[[Sequence[Job]], Yields]) -> None:
        self.process = process

    def assigned(self, topic: str, partitions: Sequence[int], partition_count: int) -> None: ...

    def revoked(self, topic: str, partitions: Sequence[int]) -> None: ...

    def prepare(self, budget_s: float) -> bool:
        return True


def _jobs(count: int) -> list[Job]:
    envelope = Envelope(tenant("acme"), ReplyAddress(b"1", "replies"))
    return [Job(Record("t", 0, i, 0, None, None, ()), envelope, 0.0) for i in range(count)]


def _run(process: Callable[[Sequence[Job]], Yields], count: int) -> dict[int, Outcome]:
    found = list(outcomes(_Stage(process), _jobs(count)))
    assert len({index for index, _ in found}) == len(found)
    return dict(found)


def _codes(found: dict[int, Outcome]) -> dict[int, str]:
    return {index: outcome.code if isinstance(outcome, InternalError) else "ok" for index, outcome in found.items()}


@given(st.lists(st.integers(-2, 6), max_size=12), st.integers(0, 5), st.booleans())
def test_every_job_has_exactly_one_outcome_whatever_the_stage_yields(
    yielded: list[int], count: int, raises: bool
) -> None:
    def process(jobs: Sequence[Job]) -> Yields:
        for index in yielded:
            yield index, Answer(b"%d" % index)
        if raises:
            raise RuntimeError("the tenant's text")

    found = _run(process, count)
    assert set(found) == set(range(count))
    for index, outcome in found.items():
        if index in yielded:
            assert outcome == Answer(b"%d" % index)
        else:
            assert isinstance(outcome, InternalError)
            assert outcome.code is ErrorCode.INTERNAL
            assert "tenant's text" not in outcome.message


def test_outcomes_come_as_soon_as_they_are_yielded() -> None:
    reached: list[int] = []

    def process(jobs: Sequence[Job]) -> Yields:
        for index in range(len(jobs)):
            reached.append(index)
            yield index, Answer(b"")

    stream = outcomes(_Stage(process), _jobs(3))
    next(stream)
    assert reached == [0]


def test_a_stage_that_raises_at_once_fails_all_its_jobs(caplog: pytest.LogCaptureFixture) -> None:
    def process(jobs: Sequence[Job]) -> Yields:
        raise KeyError("x")

    with caplog.at_level(logging.ERROR):
        found = _run(process, 2)
    assert _codes(found) == {0: "internal", 1: "internal"}
    assert "KeyError" in str(found[0])
    assert any("stage_failed" in record.getMessage() for record in caplog.records)


def test_what_is_no_outcome_is_internal_for_its_job_alone() -> None:
    def process(jobs: Sequence[Job]) -> Yields:
        yield 0, b"bytes"
        yield 1, Answer(b"")

    assert _codes(_run(process, 2)) == {0: "internal", 1: "ok"}


def test_an_index_that_cannot_even_be_looked_up_fails_the_rest() -> None:
    def process(jobs: Sequence[Job]) -> Yields:
        yield 0, Answer(b"")
        yield [1], Answer(b"")

    assert _codes(_run(process, 2)) == {0: "ok", 1: "internal"}
