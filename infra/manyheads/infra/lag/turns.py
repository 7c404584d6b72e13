"""Whose turn it is where there is not one for everybody. Pure."""

from collections.abc import Hashable, Iterable
from itertools import islice
from typing import Generic, TypeVar

Who = TypeVar("Who", bound=Hashable)


class Turns(Generic[Who]):
    """A queue: who waits in every round has a turn within ``waiting / most`` rounds."""

    def __init__(self, most: int) -> None:
        """Nobody waits yet; ``most`` may be served in one round."""
        self._most = most
        self._queue: dict[Who, None] = {}

    def take(self, waiting: Iterable[Who]) -> list[Who]:
        """Those of ``waiting`` that are served in this round: who was not for the longest time.

        Who does not wait any more is forgotten.
        """
        present = dict.fromkeys(waiting)
        queue = {who: None for who in self._queue if who in present} | present
        served = list(islice(queue, self._most))
        for who in served:
            del queue[who]
        self._queue = queue | dict.fromkeys(served)
        return served
