"""The tenants of a ring."""

from typing import Annotated

import typer

from manyheads.cli.commands.options import JsonOption, RingOption, Servers, StoreUrl, command_group
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


@commands.command("retention")
def tenant_retention(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant.")],
    *,
    transient: Annotated[
        bool, typer.Option("--transient/--retained", help="Keep its embeddings only until they are delivered, or not.")
    ],
    bootstrap_servers: Servers = None,
    ring: RingOption = "en",
) -> None:
    """Say whether a tenant's embeddings are retained.

    Embeddings tell much of a text. Transient ones are off the disk minutes after their delivery; replay cannot read
    them. Running workers switch without a restart. See docs/privacy.md.

    \b
    Example:
      manyheads tenants retention acme-bank --transient
      manyheads tenants retention acme-bank --retained
    """
    from manyheads.cli.tenants import run_retention

    run_retention(tenant, ring, bootstrap_servers, transient=transient)


@commands.command("delete")
def delete_tenant(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    bootstrap_servers: Servers = None,
    store: StoreUrl = None,
    ring: RingOption = "en",
) -> None:
    """Delete a tenant from a ring.

    Its placement, its heads, and those of their files that nobody else uses. Says what remains in which topic, and
    until when.

    \b
    Example:
      manyheads tenants delete acme-bank
    """
    from manyheads.cli.tenants import run_delete

    run_delete(tenant, ring, bootstrap_servers, store, confirmed=yes)
