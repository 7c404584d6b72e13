"""The wire, described for other tools."""

from pathlib import Path
from typing import Annotated

import typer

from manyheads.cli.commands.options import JsonOption

commands = typer.Typer()


@commands.command("asyncapi")
def asyncapi(
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", dir_okay=False, help="Write it there: JSON if the name ends in .json."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print the topics, messages and headers as an AsyncAPI 3 document.

    YAML unless JSON is asked for. It needs no Kafka.

    \b
    Example:
      manyheads asyncapi --out asyncapi.yaml
    """
    from manyheads.cli.asyncapi import run_asyncapi

    run_asyncapi(out, as_json=json)
