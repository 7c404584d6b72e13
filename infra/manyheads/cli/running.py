"""A stack that is up: its dashboard, what to do with it, and the wait until Ctrl-C."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Protocol
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from manyheads.cli.steps import step
from manyheads.infra.settings import KafkaSettings, load_settings

_CHECK_EVERY_S = 1.0


class Running(Protocol):
    """What was started and should go on, such as a :class:`~manyheads.infra.local.LocalStack`."""

    def check(self) -> None:
        """Raises ManyheadsError if a part has ended by itself."""


def start_dashboard(kafka: KafkaSettings, out: Console, resources: ExitStack) -> str | None:
    """Serve the dashboard until ``resources`` are closed; its URL.

    No stack fails for want of it: where its port is taken it uses another one, and where its library is not installed
    there is none.

    Raises:
        InvalidSettings: a ``MANYHEADS_DASHBOARD_*`` variable is wrong.
    """
    with step(out, "Starting the dashboard") as current:
        if find_spec("nicegui") is None:
            current.done = 'No dashboard; it comes with: pip install "manyheads[dashboard]"'
            return None
        from manyheads.infra.dashboard.server import serving
        from manyheads.infra.dashboard.settings import DashboardSettings

        settings = load_settings(DashboardSettings).with_token()
        url = resources.enter_context(serving(settings, kafka))
        port = urlsplit(url).port
        taken = settings.dashboard_port not in (0, port)
        current.done = f"Dashboard on port {port}" + (f": {settings.dashboard_port} is taken" if taken else "")
    return url


def print_hints(out: Console, dashboard: str | None, commands: Sequence[str]) -> None:
    """Say that it runs, where to look, and what to do in another terminal."""
    out.print()
    if dashboard is None:
        out.print("  Running until Ctrl-C. In another terminal:")
    else:
        out.print("  Running until Ctrl-C. Look at it:")
        out.print()
        out.print(Text(f"    {dashboard}", style="bold"), soft_wrap=True)
        out.print()
        out.print("  In another terminal:")
    out.print()
    for command in commands:
        out.print(Text(f"    {command}", style="bold"), soft_wrap=True)
    out.print()


def wait_for_interrupt(running: Running) -> None:
    """Until a signal. Raises ManyheadsError if a part ends by itself."""
    while True:
        running.check()
        threading.Event().wait(_CHECK_EVERY_S)
