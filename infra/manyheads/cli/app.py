"""The command line as a whole: ``manyheads`` and all its commands."""

from typing import Annotated

import typer

from manyheads.cli.commands import (
    ask,
    asyncapi,
    config,
    dashboard,
    doctor,
    encoder,
    heads,
    lag,
    local,
    replay,
    reprocess,
    tenants,
    topics,
)

# Plain help: rich would take three times as long to import as the rest.
app = typer.Typer(
    name="manyheads",
    help="One shared encoder, thousands of tenant heads, joined by Kafka.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# The order of the help.
for group in (local, ask, heads, reprocess, replay, doctor, dashboard, lag, tenants, topics, asyncapi, encoder, config):
    app.add_typer(group.commands)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"manyheads {version('manyheads')}")
        raise typer.Exit


@app.callback()
def manyheads(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """One shared encoder, thousands of tenant heads, joined by Kafka."""
