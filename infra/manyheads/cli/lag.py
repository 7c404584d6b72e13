"""``lag`` and ``lag serve``: how far the groups are behind, once, live, or for Prometheus."""

import json
import logging
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import FrameType

import typer
from rich.live import Live

from manyheads.cli import FAILED
from manyheads.cli.lag_levels import FailOn
from manyheads.cli.lag_table import snapshot_json, snapshot_view
from manyheads.cli.settings import kafka_settings
from manyheads.cli.steps import console
from manyheads.infra.lag import LagMonitor, LagSnapshot, LagState, Rules
from manyheads.topics.errors import ErrorCode, InvalidRequest
from manyheads.topics.names import PREFIX
from manyheads.topics.names import ring as ring_name

_SAMPLES = 5
"""of one look: as many as a verdict takes"""


@dataclass(frozen=True, slots=True)
class LagRequest:
    """What to show, and how."""

    bootstrap_servers: str | None
    group: str | None
    """a regular expression for whole names; the pipeline's own groups if None"""
    ring: str | None
    partitions: bool
    over_s: float
    """how long to look before showing; 0 takes one sample"""
    every_s: float
    """between two looks of ``watch``"""
    watch: bool
    as_json: bool
    fail_on: FailOn | None

    @property
    def shows_partitions(self) -> bool:
        return self.partitions or self.group is not None


def run_lag(request: LagRequest) -> None:
    """Show the lag.

    Raises:
        ManyheadsError: an option is wrong.
        typer.Exit: 1 for no broker, nothing that matches what was asked for, or a state that ``fail_on`` names.
    """
    # A little less than the time between: the last sample must not miss it by the time of a round.
    rules = Rules(patience_s=request.every_s * 2.9) if request.watch else Rules(_SAMPLES, request.over_s * 0.9)
    with LagMonitor(kafka_settings(request.bootstrap_servers), _groups(request), rules=rules) as monitor:
        if request.watch:
            _watch(monitor, request)
            raise typer.Exit(FAILED)
        snapshot = _look(monitor, request.over_s)
    if snapshot.broker is None and not snapshot.groups:
        _refuse_nothing(request)
    if request.as_json:
        print(json.dumps(snapshot_json(snapshot)))
    else:
        sampled = request.over_s > 0
        console().print(snapshot_view(snapshot, partitions=request.shows_partitions, sampled=sampled))
    if snapshot.broker is not None or _fails(snapshot, request.fail_on):
        raise typer.Exit(FAILED)


def run_lag_serve(bootstrap_servers: str | None, **given: object) -> None:
    """Serve Prometheus metrics until SIGTERM or Ctrl-C. Raises ManyheadsError."""
    from manyheads.infra.lag.serve import serve_lag
    from manyheads.infra.lag.settings import LagSettings
    from manyheads.infra.settings import load_settings
    from manyheads.infra.telemetry import configure_logging

    settings = load_settings(LagSettings, **{name: value for name, value in given.items() if value is not None})
    configure_logging(settings.log_level)
    # It tells of every attempt to connect; the monitor tells once that Kafka is away, and why.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        serve_lag(kafka_settings(bootstrap_servers), settings, stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _groups(request: LagRequest) -> re.Pattern[str]:
    if request.group is not None:
        try:
            return re.compile(request.group)
        except re.error as error:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT, f"--group {request.group!r} is no regular expression: {error}"
            ) from error
    ring = r"[^.]+" if request.ring is None else re.escape(ring_name(request.ring))
    return re.compile(rf"{re.escape(PREFIX)}\.{ring}\..+")


def _refuse_nothing(request: LagRequest) -> None:
    """A misspelt name must not look like a pipeline that is well. Raises typer.Exit(1)."""
    if request.group is not None:
        problem = f"no group matches --group {request.group!r}: it is a regular expression for whole names"
        advice = "manyheads lag --group '.*'"
    elif request.ring is not None:
        problem = f"no ring here is called {request.ring!r}: it has neither topics nor groups"
        advice = "manyheads lag"
    else:
        return
    typer.echo(f"error: {problem}; `{advice}` lists what there is", err=True)
    raise typer.Exit(FAILED)


def _look(monitor: LagMonitor, over_s: float) -> LagSnapshot:
    """What some samples say, the first at once and the last after ``over_s``."""
    rounds = _rounds(monitor, over_s / (_SAMPLES - 1))
    snapshot = next(rounds)
    for _ in range(1, _SAMPLES if over_s > 0 else 1):
        if snapshot.broker is not None:
            break
        snapshot = next(rounds)
    return snapshot


def _watch(monitor: LagMonitor, request: LagRequest) -> None:
    """Show it again and again, until Ctrl-C, a state that fails, or a first look that finds nothing."""
    out = console()
    found = False  # what goes away later may come back
    with ExitStack() as shown:
        live: Live | None = None
        if out.is_terminal and not request.as_json:
            live = shown.enter_context(Live(console=out, auto_refresh=False))
        for snapshot in _rounds(monitor, request.every_s):
            found = found or bool(snapshot.groups)
            if not found and snapshot.broker is None:
                _refuse_nothing(request)
            view = snapshot_view(snapshot, partitions=request.shows_partitions, sampled=True)
            if request.as_json:
                print(json.dumps(snapshot_json(snapshot)), flush=True)
            elif live is None:
                out.print(view)
            else:
                live.update(view, refresh=True)
            if _fails(snapshot, request.fail_on):
                return


def _rounds(monitor: LagMonitor, every_s: float) -> Iterator[LagSnapshot]:
    due = time.monotonic()
    while True:
        yield monitor.poll()
        due += every_s
        late = time.monotonic() - due
        if late < 0:
            time.sleep(-late)
        else:
            due += late  # what was missed is not made up for


def _fails(snapshot: LagSnapshot, fail_on: FailOn | None) -> bool:
    return fail_on is not None and snapshot.state.severity >= LagState(fail_on.value).severity
