"""A head over the past."""

from typing import Annotated

import typer

from manyheads.cli.commands.options import JsonOption, RingOption, Servers, StoreUrl

commands = typer.Typer()


@commands.command()
def replay(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose embeddings.")],
    *,
    head: Annotated[
        str,
        typer.Option(metavar="VERSION", help="A registered head of the tenant; or a head's file, or its folder."),
    ],
    since: Annotated[str, typer.Option(metavar="WHEN", help="How long ago (30m, 24h, 7d), or when.")] = "24h",
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="The same. Default: now.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most so many embeddings.")] = None,
    examples: Annotated[int, typer.Option(min=0, max=1_000, help="How many differing texts to name.")] = 10,
    bootstrap_servers: Servers = None,
    store: StoreUrl = None,
    ring: RingOption = "en",
    json: JsonOption = False,
) -> None:
    """Run a head over a tenant's embeddings of the past.

    Shows what it would have answered otherwise: agreement, confusion of intents, entities, confidence. It reads the
    embeddings that Kafka still keeps, so it needs neither texts nor the encoder; it writes nothing.

    \b
    Example:
      manyheads train acme-bank acme-bank.md --no-activate
      manyheads replay acme-bank --head 20261121-3f9ac2 --since 24h
      manyheads replay acme-bank --head ./new-head --since 7d --json
    """
    from manyheads.cli.replay import ReplayRequest, run_replay

    request = ReplayRequest(tenant, head, ring, since, until, limit, examples)
    run_replay(request, bootstrap_servers, store, as_json=json)
