"""Which offset of a partition may be committed: the end of its contiguous finished prefix."""

from bisect import bisect_left
from collections import deque


class PartitionProgress:
    """The offsets taken from one partition, in order, and which of them are finished.

    Offsets rise but need not be adjacent: transaction markers and compaction leave gaps.
    """

    __slots__ = ("_finished", "_open", "_requested", "last_taken", "position", "start")

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._finished: set[int] = set()
        self._requested: int | None = None
        self.start: int | None = None
        """the first offset taken; None before it"""
        self.last_taken = -1
        self.position: int | None = None
        """one after the finished prefix; None while it is empty"""

    @property
    def unfinished(self) -> int:
        """Offsets that are taken and not yet in the finished prefix."""
        return len(self._open)

    def unfinished_before(self, offset: int) -> int:
        """The same without those from ``offset`` on."""
        return bisect_left(self._open, offset)

    def take(self, offset: int) -> None:
        """``offset`` was taken. Raises ValueError unless it is above all before it."""
        if offset <= self.last_taken:
            raise ValueError(f"offset {offset} was taken after {self.last_taken}")
        if self.start is None:
            self.start = offset
        self.last_taken = offset
        self._open.append(offset)

    def finish(self, offset: int) -> None:
        """``offset``, taken before and not finished yet, needs no more work."""
        self._finished.add(offset)
        while self._open and self._open[0] in self._finished:
            done = self._open.popleft()
            self._finished.remove(done)
            self.position = done + 1

    def to_commit(self) -> int | None:
        """The offset to commit; None if there is none that was not requested already."""
        return None if self.position == self._requested else self.position

    def requested(self, offset: int) -> None:
        """A commit of ``offset`` is under way or done."""
        self._requested = offset

    def refused(self) -> None:
        """The last commit failed: :meth:`to_commit` gives the offset again."""
        self._requested = None
