"""The demo's requests: held-out utterances of all tenants, sent through the SDK."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter

from manyheads.cli.demo.scores import Scored
from manyheads.cli.demo.utterances import LabelledText, TenantExamples
from manyheads.producers import Answer, Client
from manyheads.topics.names import TenantName

_SEED = 20261121


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: a labelled utterance to its tenant."""

    tenant: TenantName
    example: LabelledText


@dataclass(slots=True)
class LoadResult:
    """What came back, in the order in which it came."""

    sent: int
    seconds: float = 0.0
    answers: list[tuple[Asked, Answer]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def scored(self, tenant: TenantName) -> Iterator[Scored]:
        """The tenant's answers next to their labels."""
        for asked, answer in self.answers:
            if asked.tenant == tenant:
                spans = frozenset((entity.label, entity.start, entity.end) for entity in answer.entities)
                yield Scored(asked.example, answer.intent.name, spans)


def shuffled_requests(tenants: Sequence[TenantExamples], count: int) -> list[Asked]:
    """``count`` requests: every held-out utterance once, in random order, and again until there are enough."""
    every = [Asked(tenant.tenant, example) for tenant in tenants for example in tenant.held_out]
    chosen: list[Asked] = []
    source = random.Random(_SEED)  # noqa: S311 - the same order in every run
    while len(chosen) < count:
        source.shuffle(every)
        chosen += every[: count - len(chosen)]
    return chosen


async def send_all(
    client: Client, requests: Sequence[Asked], *, in_flight: int, timeout_s: float, on_result: Callable[[int], None]
) -> LoadResult:
    """Send the requests, at most ``in_flight`` at one time; ``on_result`` gets the number of results so far."""
    result = LoadResult(sent=len(requests))
    pairs = ((asked.tenant, asked.example.text) for asked in requests)
    began = perf_counter()
    async with aclosing(client.predict_many(pairs, in_flight=in_flight, ordered=False, timeout=timeout_s)) as results:
        async for each in results:
            if each.answer is not None:
                result.answers.append((requests[each.index], each.answer))
            else:
                result.errors.append(str(each.error))
            on_result(len(result.answers) + len(result.errors))
    result.seconds = perf_counter() - began
    return result
