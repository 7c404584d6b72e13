"""One text for many tenants: what ``predict_for`` waits for."""

import asyncio
from collections.abc import Sequence

from manyheads.producers.answer import PredictRequest, Result
from manyheads.producers.calls import Finish, Outcome
from manyheads.producers.stream import result_of


class Gathering:
    """The results of calls that are made together. Must be made within the event loop."""

    def __init__(self, requests: Sequence[PredictRequest]) -> None:
        self._requests = requests
        self._results: dict[int, Result] = {}
        self._complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not requests:
            self._complete.set_result(None)

    def finisher(self, index: int) -> Finish:
        """What takes the outcome of the request at ``index``."""

        def finish(outcome: Outcome) -> None:
            self._results[index] = result_of(index, self._requests[index], outcome)
            if len(self._results) == len(self._requests) and not self._complete.done():
                self._complete.set_result(None)

        return finish

    async def results(self) -> tuple[Result, ...]:
        """All results, in the order of the requests, once the last is there."""
        await self._complete
        return tuple(self._results[index] for index in range(len(self._requests)))
