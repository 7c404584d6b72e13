"""The tenants of a ring."""

from typing import Annotated

import typer

from manyheads.cli.commands.options import JsonOption, RingOption, Servers, command_group
from manyheads.cli.top_by import TopBy

commands = command_group("tenants", "The tenants of a ring.")


@commands.command("list")
def list_tenants(bootstrap_servers: Servers = None, ring: RingOption = "en", json: JsonOption = False) -> None:
    """List the tenants of a ring and their active heads.

    \b
    Example:
      manyheads tenants list --ring en
    """
    from manyheads.cli.catalogue import run_list_tenants

    run_list_tenants(ring, bootstrap_servers, as_json=json)


@commands.command("top")
def top_tenants(
    *,
    bootstrap_servers: Servers = None,
    ring: Annotated[str | None, typer.Option(metavar="RING", help="Of this ring alone. Default: all.")] = None,
    by: Annotated[TopBy, typer.Option(help="What the first have most of.")] = TopBy.REQUESTS,
    minutes: Annotated[int, typer.Option(min=1, max=60, help="How far back.")] = 15,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show whose traffic it is: requests, errors and latency.

    As the workers reported them in the last minutes; whole requests, counted where they were answered.

    \b
    Example:
      manyheads tenants top --by errors --minutes 5
    """
    from manyheads.cli.tenants_top import TopRequest, run_tenants_top
    from manyheads.infra.telemetry.aggregate import TenantOrder

    request = TopRequest(ring=ring, by=TenantOrder(by), minutes=minutes, limit=limit)
    run_tenants_top(request, bootstrap_servers, as_json=json)
