"""What the settings are."""

import typer

from manyheads.cli.commands.options import JsonOption

commands = typer.Typer()


@commands.command("config")
def config(json: JsonOption = False) -> None:
    """Show every setting, its value, and where it comes from.

    From MANYHEADS_* variables, then from the file that MANYHEADS_CONFIG names, else manyheads.toml in the working
    directory, then the defaults. Secrets are masked. Exits with 1 if a setting is wrong.

    \b
    Example:
      manyheads config
      MANYHEADS_CONFIG=/etc/manyheads.toml manyheads config --json
    """
    from manyheads.cli.config import run_config

    run_config(as_json=json)
