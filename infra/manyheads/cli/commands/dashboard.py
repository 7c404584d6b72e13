"""The live web page."""

from typing import Annotated

import typer

from manyheads.cli.commands.options import Servers

commands = typer.Typer()


@commands.command()
def dashboard(
    bootstrap_servers: Servers = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="Where to listen. Default: MANYHEADS_DASHBOARD_HOST, else 127.0.0.1; any other asks for a token.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Its port, 0 for any. Default: MANYHEADS_DASHBOARD_PORT, else 8080."),
    ] = None,
) -> None:
    """Serve the live dashboard.

    Lag, latency, errors, tenants, workers and dead letters of every ring, as a web page. It reads, and changes nothing.

    \b
    Example:
      manyheads dashboard
      manyheads dashboard -b kafka:9092 --host 0.0.0.0
    """
    from manyheads.cli.dashboard import run_dashboard

    run_dashboard(bootstrap_servers, host, port)
