"""How far the workers are behind."""

from typing import Annotated

import typer

from manyheads.cli.commands.options import JsonOption, Servers
from manyheads.cli.lag_levels import FailOn

_GIVEN = "COMMANDLINE"

commands = typer.Typer(name="lag", invoke_without_command=True, rich_markup_mode=None)


@commands.callback()
def show_lag(
    context: typer.Context,
    *,
    bootstrap_servers: Servers = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="REGEX",
            help="The groups whose whole names match, with their partitions. Default: the pipeline's.",
        ),
    ] = None,
    ring: Annotated[str | None, typer.Option("--ring", metavar="RING", help="Only this ring's groups.")] = None,
    partitions: Annotated[bool, typer.Option("--partitions", help="Show every partition.")] = False,
    over: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds to look: rates and states need that. 0: one sample.")
    ] = 4.0,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, max=600, help="Seconds between two looks of --watch.")] = 2.0,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Exit with 1 if a group is in this state or a worse one.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show how far the workers are behind.

    For each stage: records that wait, the age of the oldest, what arrives and what is done a second, when it will have
    caught up, and its state: OK, WARN (falls behind), STALL (nothing moves), STOP (nobody is there), REWIND, ERR. Exits
    with 1 if Kafka is away, or has nothing of what --group or --ring asks for.

    \b
    Example:
      manyheads lag --watch
      manyheads lag --group nlu.en.c0.head
      manyheads lag --fail-on STALL --json
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    from manyheads.cli.lag import LagRequest, run_lag

    run_lag(
        LagRequest(
            bootstrap_servers,
            group,
            ring,
            partitions,
            over_s=over,
            every_s=every,
            watch=watch,
            as_json=json,
            fail_on=fail_on,
        )
    )


def _refuse_options(context: typer.Context) -> None:
    """Those before ``serve`` would be ignored: it would measure another Kafka or other groups than it was told."""
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name is not None and (source := context.get_parameter_source(option.name)) and source.name == _GIVEN
    ]
    if given:
        raise typer.BadParameter(
            f"{', '.join(given)} before serve would be ignored: put after serve what it takes, as in "
            "'manyheads lag serve --bootstrap-servers HOST:PORT' ('manyheads lag serve --help' lists all)"
        )


@commands.command("serve")
def serve_lag(
    bootstrap_servers: Servers = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="The port; 0: any. Default: MANYHEADS_METRICS_PORT, else 9308."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The address. Default: MANYHEADS_METRICS_HOST, else 127.0.0.1."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(min=0.1, max=3_600, help="Seconds between rounds. Default: MANYHEADS_LAG_INTERVAL_S, else 2."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="The groups to measure. Default: MANYHEADS_LAG_GROUPS, else all."),
    ] = None,
) -> None:
    """Serve the lag to Prometheus, until SIGTERM.

    /metrics has the names of kafka-lag-exporter and kafka_exporter, and more; /healthz and /readyz say how it is.

    \b
    Example:
      manyheads lag serve
      MANYHEADS_METRICS_HOST=0.0.0.0 manyheads lag serve
    """
    from manyheads.cli.lag import run_lag_serve

    run_lag_serve(bootstrap_servers, metrics_port=port, metrics_host=host, lag_interval_s=every, lag_groups=group)
