"""Asking with patience: what may pass is asked again for those whom it concerns, what cannot pass is the outcome."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from manyheads.producers.answer import Answer, PredictRequest, Result
from manyheads.producers.reprocess.asking import Asker
from manyheads.producers.reprocess.options import Pace
from manyheads.producers.reprocess.work import Ask, Key, Outcome
from manyheads.topics.errors import ErrorCode, ManyheadsError, error_for
from manyheads.topics.messages import Intent, StageTiming, Timings, Versions
from manyheads.topics.names import TenantName, space, tenant, version

NO_TIME = StageTiming(queue_ms=0.0, compute_ms=0.0)
ACME, SHOP, ZOO = (tenant(name) for name in ("acme", "shop", "zoo"))


def answer(who: str) -> Answer:
    return Answer(
        tenant=who,
        intents=(Intent(name=who, confidence=1.0),),
        entities=(),
        versions=Versions(head=version("h"), encoder=version("e"), space=space("s")),
        timings=Timings(encoder=NO_TIME, head=NO_TIME),
        truncation=None,
        latency_ms=1.0,
    )


class Pipeline:
    """Answers each tenant with the errors that are listed for it, one a request, then with an answer."""

    def __init__(self, errors: Mapping[str, Sequence[ErrorCode]] | None = None) -> None:
        self._errors = {name: list(codes) for name, codes in (errors or {}).items()}
        self.sent: list[tuple[str, tuple[str, ...]]] = []
        self.whole: list[ManyheadsError] = []
        """raised, one a request, before anything else"""
        self.waiting = self.most_waiting = 0

    async def predict_for(
        self,
        tenants: tuple[str, ...],
        text: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> tuple[Result, ...]:
        self.sent.append((text, tenants))
        self.waiting += len(tenants)
        self.most_waiting = max(self.most_waiting, self.waiting)
        await asyncio.sleep(0)
        self.waiting -= len(tenants)
        if self.whole:
            raise self.whole.pop(0)
        return tuple(self._result(index, name, text) for index, name in enumerate(tenants))

    def _result(self, index: int, name: str, text: str) -> Result:
        request = PredictRequest(name, text)
        if self._errors.get(name):
            return Result(index, request, error=error_for(self._errors[name].pop(0), "scripted"))
        return Result(index, request, answer=answer(name))


async def ask(pipeline: Pipeline, *asks: Ask, in_flight: int = 100) -> tuple[dict[Key, Outcome], Asker]:
    outcomes: dict[Key, Outcome] = {}
    asker = Asker(pipeline, Pace(in_flight=in_flight), first_pause_s=0.0)
    await asker.ask(asks, outcomes)
    return outcomes, asker


def codes(outcomes: Mapping[Key, Outcome]) -> dict[Key, str]:
    return {key: "ok" if isinstance(outcome, Answer) else outcome.code for key, outcome in outcomes.items()}


async def test_only_those_whom_it_concerns_are_asked_again() -> None:
    pipeline = Pipeline({ACME: [ErrorCode.DEADLINE_EXCEEDED, ErrorCode.OVERLOADED], ZOO: [ErrorCode.UNKNOWN_TENANT]})
    outcomes, asker = await ask(pipeline, Ask("yes", (ACME, SHOP, ZOO)), Ask("no", (SHOP,)))
    assert codes(outcomes) == {
        (ACME, "yes"): "ok",
        (SHOP, "yes"): "ok",
        (ZOO, "yes"): "unknown_tenant",
        (SHOP, "no"): "ok",
    }
    assert [tenants for text, tenants in pipeline.sent if text == "yes"] == [(ACME, SHOP, ZOO), (ACME,), (ACME,)]
    tally = asker.tally
    assert (tally.sent, tally.answered, tally.again, tally.waiting) == (4, 4, 2, 0)


async def test_a_request_that_fails_as_a_whole_is_asked_again_whole() -> None:
    pipeline = Pipeline()
    pipeline.whole = [error_for(ErrorCode.BROKER_UNREACHABLE, "away")] * 3
    outcomes, _ = await ask(pipeline, Ask("yes", (ACME, SHOP)))
    assert set(codes(outcomes).values()) == {"ok"}
    assert pipeline.sent == [("yes", (ACME, SHOP))] * 4


async def test_what_may_be_a_defect_is_tried_some_times_and_then_is_the_outcome() -> None:
    pipeline = Pipeline({ACME: [ErrorCode.INTERNAL] * 3, SHOP: [ErrorCode.SPACE_MISMATCH] * 99})
    outcomes, _ = await ask(pipeline, Ask("yes", (ACME,)), Ask("no", (SHOP,)))
    assert codes(outcomes) == {(ACME, "yes"): "ok", (SHOP, "no"): "space_mismatch"}
    assert len(pipeline.sent) == 4 + 5


@pytest.mark.parametrize("code", [ErrorCode.ACCESS_DENIED, ErrorCode.TOPICS_MISSING, ErrorCode.UNKNOWN_SCHEMA_VERSION])
async def test_what_nothing_would_mend_ends_the_job(code: ErrorCode) -> None:
    pipeline = Pipeline({ACME: [code]})
    with pytest.raises(ManyheadsError) as caught:
        await ask(pipeline, Ask("yes", (ACME,)), Ask("no", (SHOP,)))
    assert caught.value.code is code


async def test_without_deduplication_an_answer_is_kept_by_its_row() -> None:
    outcomes, _ = await ask(Pipeline(), Ask("yes", (ACME,), (0, 1)), Ask("yes", (ACME,), (0, 2)))
    assert set(outcomes) == {(0, 1), (0, 2)}


async def test_no_more_is_waited_for_than_allowed_even_by_one_text_of_many_tenants() -> None:
    many = tuple(TenantName(f"t-{number}") for number in range(7))
    asks = [*(Ask(f"text {number}", (ACME, SHOP)) for number in range(20)), Ask("yes", many)]
    pipeline = Pipeline()
    outcomes, _ = await ask(pipeline, *asks, in_flight=5)
    assert len(outcomes) == 47
    assert pipeline.most_waiting == 7  # alone, since it cannot be divided
    assert all(isinstance(outcome, Answer) for outcome in outcomes.values())
