"""The demo, and a pipeline on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from manyheads.cli.commands.options import Servers, StoreUrl

commands = typer.Typer()


@commands.command()
def demo(
    requests: Annotated[int, typer.Option(min=1, max=1_000_000, help="Requests to send.")] = 2_000,
    kill: Annotated[bool, typer.Option("--kill", help="Kill and restart workers while the requests run.")] = False,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the models and the logs in DIR.")] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Keep it all running afterwards, with the dashboard.")] = False,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap-servers", "-b", metavar="HOST:PORT", help="Only send the requests, to a seeded pipeline there."
        ),
    ] = None,
) -> None:
    """Run the whole pipeline once, on a real Kafka.

    Builds an encoder, trains heads live, starts workers, sends requests, shows what came back, stops everything
    (with --stay at Ctrl-C). With --bootstrap-servers it starts nothing and sends its requests to a pipeline that runs
    there.

    \b
    Example:
      manyheads demo --requests 5000 --kill
      manyheads demo -b localhost:9092
    """
    if bootstrap_servers is not None:
        if kill or stay or keep is not None:
            raise typer.BadParameter("--kill, --keep and --stay are for a stack of the demo's own; leave out -b")
        from manyheads.cli.demo.remote import run_remote_demo

        run_remote_demo(requests, bootstrap_servers)
        return
    from manyheads.cli.demo.run import DemoOptions, run_demo

    run_demo(DemoOptions(requests=requests, kill=kill, keep=keep, stay=stay))


@commands.command()
def seed(bootstrap_servers: Servers = None, store: StoreUrl = None) -> None:
    """Give a running Kafka the demo's ring.

    Creates its topics, builds its encoder, trains a head for each of the demo's tenants, and registers them. What is
    there already stays, so it may run at every start.

    \b
    Example:
      manyheads seed -b localhost:9092 --store ./models
    """
    from manyheads.cli.seed import run_seed

    run_seed(bootstrap_servers, store)


@commands.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Kafka's port on 127.0.0.1.")] = 9092,
    state: Annotated[Path, typer.Option(metavar="DIR", help="Where models, topics and logs stay.")] = Path(
        ".manyheads"
    ),
    head_workers: Annotated[int, typer.Option(min=1, max=16, help="Head workers to start.")] = 2,
    dashboard: Annotated[
        bool,
        typer.Option("--dashboard/--no-dashboard", help="Serve the dashboard (MANYHEADS_DASHBOARD_PORT, 8080)."),
    ] = True,
) -> None:
    """Keep a local pipeline running until Ctrl-C.

    Kafka, an encoder worker and head workers, with the demo's tenants, and the dashboard. The second start is fast.

    \b
    Example:
      manyheads up
      manyheads ask acme-bank "move 40 euros to my savings"      in another terminal
    """
    from manyheads.cli.up import UpOptions, run_up

    run_up(UpOptions(port=port, state=state, head_workers=head_workers, dashboard=dashboard))
