"""Requests out, with patience: what may pass is asked again until it does; what cannot is the outcome."""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from manyheads.producers.answer import Result
from manyheads.producers.reprocess.options import Pace
from manyheads.producers.reprocess.work import Ask, Key, Outcome
from manyheads.topics.errors import ErrorCode, ManyheadsError
from manyheads.topics.names import TenantName

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_TRIES_OF_DEFECTS = 5
_STARTED_AT_ONCE = 64

# The whole job cannot go on: nothing that waits would mend it.
_FATAL = frozenset(
    {
        ErrorCode.UNKNOWN_RING,
        ErrorCode.TOPICS_MISSING,
        ErrorCode.ACCESS_DENIED,
        ErrorCode.CLIENT_CLOSED,
        ErrorCode.UNKNOWN_SCHEMA_VERSION,
    }
)
_TRANSIENT = frozenset(
    {ErrorCode.OVERLOADED, ErrorCode.DEADLINE_EXCEEDED, ErrorCode.BROKER_UNREACHABLE, ErrorCode.WORKER_HALTED}
)
# May be a moment's: a head that is being swapped, a worker's defect on one batch.
_PERHAPS = frozenset({ErrorCode.SPACE_MISMATCH, ErrorCode.INTERNAL, ErrorCode.ARTIFACT_MISSING})


class Predictor(Protocol):
    """Whoever answers: :class:`manyheads.producers.Client`."""

    async def predict_for(
        self,
        tenants: tuple[str, ...],
        text: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> tuple[Result, ...]: ...


@dataclass(slots=True)
class Tally:
    """What one process has seen, for people."""

    sent: int = 0
    """requests"""
    answered: int = 0
    """answers and errors that are outcomes"""
    again: int = 0
    """answers that were asked for once more"""
    waiting: int = 0
    """answers that are waited for"""


class Asker:
    """Asks what buckets ask. All of a process share one, and so its bounds."""

    def __init__(self, client: Predictor, pace: Pace, first_pause_s: float = _FIRST_PAUSE_S) -> None:
        self._client = client
        self._pace = pace
        self._first_pause_s = first_pause_s
        self._slots = _Slots(pace.in_flight)
        self._next_send = 0.0
        self.tally = Tally()

    async def ask(self, asks: Iterable[Ask], outcomes: dict[Key, Outcome]) -> None:
        """Ask, and put the outcome of each into ``outcomes`` as it comes; returns with the last.

        Raises:
            ManyheadsError: the job cannot go on, such as access_denied or topics_missing.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for count, each in enumerate(asks):
                    if count % _STARTED_AT_ONCE == 0:
                        await asyncio.sleep(0)  # the first are on their way while the rest are made
                    taken = await self._slots.take(len(each.tenants))
                    await self._wait_for_turn()
                    tasks.create_task(self._one(each, outcomes, taken))
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _one(self, ask: Ask, outcomes: dict[Key, Outcome], taken: int) -> None:
        left = ask.tenants
        tally = self.tally
        tries = 0
        tally.waiting += len(left)
        try:
            while left:
                if tries:
                    await asyncio.sleep(_pause_s(self._first_pause_s, tries))
                tries += 1
                tally.sent += 1
                again = []
                for tenant, outcome in await self._send(ask.text, left):
                    if isinstance(outcome, ManyheadsError) and _asks_again(outcome, tries):
                        again.append(tenant)
                    else:
                        outcomes[ask.key(tenant)] = outcome
                tally.answered += len(left) - len(again)
                tally.waiting -= len(left) - len(again)
                tally.again += len(again)
                left = tuple(again)
        finally:
            tally.waiting -= len(left)
            self._slots.give(taken)

    async def _send(self, text: str, tenants: tuple[TenantName, ...]) -> list[tuple[TenantName, Outcome]]:
        try:
            results = await self._client.predict_for(tenants, text, timeout=self._pace.timeout_s)
        except ManyheadsError as error:
            return [(tenant, error) for tenant in tenants]
        return [(tenant, _outcome(result)) for tenant, result in zip(tenants, results, strict=True)]

    async def _wait_for_turn(self) -> None:
        if self._pace.rate is None:
            return
        now = asyncio.get_running_loop().time()
        self._next_send = max(self._next_send, now) + 1 / self._pace.rate
        await asyncio.sleep(self._next_send - now - 1 / self._pace.rate)


class _Slots:
    """How many answers may be waited for. Whoever asks first is served first, also if it takes many."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._given = asyncio.Event()
        self._turn = asyncio.Lock()

    async def take(self, count: int) -> int:
        count = min(count, self._size)
        async with self._turn:
            while self._free < count:
                self._given.clear()
                await self._given.wait()
            self._free -= count
        return count

    def give(self, count: int) -> None:
        self._free += count
        self._given.set()


def _outcome(result: Result) -> Outcome:
    if result.answer is not None:
        return result.answer
    assert result.error is not None
    return result.error


def _asks_again(error: ManyheadsError, tries: int) -> bool:
    if error.code in _FATAL:
        raise error
    return error.code in _TRANSIENT or (error.code in _PERHAPS and tries < _TRIES_OF_DEFECTS)


def _pause_s(first: float, tries: int) -> float:
    longest = min(_LONGEST_PAUSE_S, first * 2 ** min(tries - 1, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 - so that not all come back at once


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to raise of those that ended a group of tasks."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
