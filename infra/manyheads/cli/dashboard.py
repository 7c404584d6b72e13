"""``dashboard``: the live web page, until Ctrl-C."""

from rich.text import Text

from manyheads.cli.interrupts import Interrupts
from manyheads.cli.settings import kafka_settings
from manyheads.cli.steps import console
from manyheads.infra.dashboard.server import serve
from manyheads.infra.dashboard.settings import DashboardSettings
from manyheads.infra.settings import load_settings


def run_dashboard(bootstrap_servers: str | None, host: str | None, port: int | None) -> None:
    """Serve until Ctrl-C. Raises InvalidSettings."""
    given = {"dashboard_host": host, "dashboard_port": port}
    settings = load_settings(DashboardSettings, **{name: value for name, value in given.items() if value is not None})
    kafka = kafka_settings(bootstrap_servers)
    out = console()

    def ready(url: str) -> None:
        out.print()
        out.print(Text(f"  Dashboard of {kafka.bootstrap_servers}: ").append(url, style="bold"), soft_wrap=True)
        out.print()

    with Interrupts() as interrupts, interrupts.unwinding():
        serve(settings.with_token(), kafka, ready)
