"""Calm output: one line for each step that is done, with its time; a spinner meanwhile where there is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.status import Status
from rich.text import Text

_MAX_WIDTH = 100


def console(stderr: bool = False) -> Console:
    """A console for people, at most 100 columns wide; plain text where there is no terminal."""
    found = Console(stderr=stderr, highlight=False, soft_wrap=False)
    found.width = min(found.width, _MAX_WIDTH)
    return found


class Step:
    """A step that is under way; ``done`` is what its line will say."""

    def __init__(self, doing: str, status: Status | None) -> None:
        self.done = doing
        self._status = status

    def tell(self, doing: str) -> None:
        """Show what is being done right now, where there is a terminal."""
        if self._status is not None:
            self._status.update(doing)


@contextmanager
def step(out: Console, doing: str) -> Iterator[Step]:
    """Show ``doing`` while the body runs, then a line with :attr:`Step.done` and the seconds that it took.

    A body that fails leaves no line: its error says what there is to say.
    """
    began = perf_counter()
    if out.is_terminal:
        with out.status(doing, spinner_style="dim") as status:
            current = Step(doing, status)
            yield current
    else:
        current = Step(doing, None)
        yield current
    _print_done(out, current.done, perf_counter() - began)


@contextmanager
def counting(out: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar while the body runs, gone after it; nothing where there is no terminal.

    Yields what to call with the number that is done.
    """
    if not out.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def _print_done(out: Console, done: str, seconds: float) -> None:
    time = f"{seconds:.1f} s"
    line = Text("  ✓ ", style="green")
    line.append(done, style="default")
    room = out.width - line.cell_len - len(time) - 2
    if room < 1:
        line.truncate(out.width - len(time) - 3, overflow="ellipsis")
        room = 1
    line.append(" " * room + time, style="dim")
    out.print(line)
