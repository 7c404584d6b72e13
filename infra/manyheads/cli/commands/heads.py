"""Heads: training, switching, listing."""

from pathlib import Path
from typing import Annotated

import typer

from manyheads.cli.commands.options import JsonOption, RingOption, Servers, StoreUrl, command_group

commands = typer.Typer()
group = command_group("heads", "The heads of a ring's tenants.")
commands.add_typer(group)


@commands.command()
def train(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant to train a head for.")],
    examples: Annotated[Path, typer.Argument(metavar="EXAMPLES", help="Its utterances: a .md or .jsonl file.")],
    *,
    bootstrap_servers: Servers = None,
    store: StoreUrl = None,
    ring: RingOption = "en",
    cell: Annotated[
        str | None, typer.Option(metavar="CELL", help="The tenant's cell. Default: where it is, else the ring's first.")
    ] = None,
    activate: Annotated[bool, typer.Option(help="Let the new head answer at once.")] = True,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Only write the head to DIR; register nothing.")
    ] = None,
) -> None:
    """Train a head on a tenant's utterances.

    Running workers take it over without a restart. The utterances are encoded by the ring's live encoder, exactly as
    requests are.

    \b
    Example:
      manyheads train acme-bank acme-bank.md
      manyheads train acme-bank export.jsonl --no-activate
      manyheads train acme-bank export.jsonl --out ./new-head
    """
    from manyheads.cli.train import TrainOptions, run_train

    run_train(
        TrainOptions(tenant=tenant, examples=examples, ring=ring, cell=cell, activate=activate, out=out),
        bootstrap_servers,
        store,
    )


@commands.command()
def activate(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version of its head that shall answer.")],
    bootstrap_servers: Servers = None,
    ring: RingOption = "en",
) -> None:
    """Let another version of a tenant's head answer.

    Running workers switch without a restart.

    \b
    Example:
      manyheads heads list --tenant acme-bank
      manyheads activate acme-bank 20261121-3f9ac2
    """
    from manyheads.cli.catalogue import run_activate

    run_activate(tenant, version, ring, bootstrap_servers)


@group.command("list")
def list_heads(
    bootstrap_servers: Servers = None,
    ring: RingOption = "en",
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only this tenant's.")] = None,
    json: JsonOption = False,
) -> None:
    """List the heads of a ring, the active ones marked.

    \b
    Example:
      manyheads heads list --tenant acme-bank
    """
    from manyheads.cli.catalogue import run_list_heads

    run_list_heads(ring, tenant, bootstrap_servers, as_json=json)
