"""Asking a head."""

from typing import Annotated

import typer

from manyheads.cli.commands.options import JsonOption, RingOption, Servers

commands = typer.Typer()


@commands.command()
def ask(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose head answers.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to understand.")],
    *,
    bootstrap_servers: Servers = None,
    ring: RingOption = "en",
    timeout: Annotated[
        float, typer.Option(min=0.001, max=3_600, help="Seconds to wait for Kafka, then for the answer.")
    ] = 10.0,
    json: JsonOption = False,
) -> None:
    """Ask a tenant's head what a text means.

    \b
    Example:
      manyheads ask acme-bank "move 40 euros to my savings"
    """
    from manyheads.cli.ask import Question, run_ask

    run_ask(Question(tenant=tenant, text=text, ring=ring, timeout_s=timeout), bootstrap_servers, as_json=json)
