"""kill -9 of workers in the middle of the load, and their restart."""

import asyncio
from collections.abc import Sequence

from manyheads.infra.local import LocalWorkers


class Sabotage:
    """Kills workers once part of the results is there, and starts them again at once.

    Args:
        workers: the processes.
        victims: the numbers of those to kill.
        after: how many results to wait for.
    """

    def __init__(self, workers: LocalWorkers, victims: Sequence[int], after: int) -> None:
        self._workers = workers
        self._victims = tuple(victims)
        self._after = after
        self._task: asyncio.Task[None] | None = None

    def on_result(self, results: int) -> None:
        """``results`` have come so far."""
        if self._task is None and results >= self._after:
            self._task = asyncio.create_task(asyncio.to_thread(self._strike))

    async def finish(self) -> tuple[str, ...]:
        """Wait until all run again; the names of those that were killed. Raises InternalError if one does not start."""
        if self._task is None:
            return ()
        await self._task
        return tuple(self._workers.name(victim) for victim in self._victims)

    def _strike(self) -> None:
        for victim in self._victims:
            self._workers.kill(victim)
        self._workers.restart(*self._victims)
