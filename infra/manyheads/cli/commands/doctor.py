"""Checking a deployment."""

from typing import Annotated

import typer

from manyheads.cli.commands.options import JsonOption, Servers, StoreUrl

commands = typer.Typer()


@commands.command()
def doctor(
    *,
    bootstrap_servers: Servers = None,
    store: StoreUrl = None,
    ring: Annotated[
        str | None, typer.Option("--ring", metavar="RING", help="Look at this ring only. Default: all.")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every artifact and check its digest.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds to wait for each answer of Kafka.")] = 5.0,
    json: JsonOption = False,
) -> None:
    """Check the whole deployment and say what to do.

    Settings, brokers, topics, registry, store, workers, clocks, this machine. Reads only, and changes nothing. Exits
    with 0 if nothing is wrong, 1 if something is.

    \b
    Example:
      manyheads doctor
      manyheads doctor --ring en --deep --strict --json
    """
    from manyheads.cli.doctor import run_doctor
    from manyheads.infra.doctor import DoctorOptions
    from manyheads.topics.names import ring as ring_name

    wanted = None if ring is None else ring_name(ring)
    options = DoctorOptions(bootstrap_servers, store, wanted, deep=deep, timeout_s=timeout)
    run_doctor(options, as_json=json, strict=strict)
