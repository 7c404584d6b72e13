"""The encoder of a ring."""

from pathlib import Path
from typing import Annotated

import typer

from manyheads.cli.commands.options import CellsOption, RingOption, Servers, StoreUrl, command_group
from manyheads.cli.encoder_kind import EncoderKind

commands = command_group("encoder", "The encoder of a ring.")


@commands.command("build")
def build_encoder(
    *,
    kind: Annotated[EncoderKind, typer.Option(help="Which weights.")] = EncoderKind.MINILM,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Only write the files to DIR; register nothing.")
    ] = None,
    bootstrap_servers: Servers = None,
    store: StoreUrl = None,
    ring: RingOption = "en",
    cell: CellsOption = None,
) -> None:
    """Build the int8 encoder of a ring.

    Checks it against float32, puts it into the store and makes it the ring's. A ring that is new gets its record.

    \b
    Example:
      manyheads encoder build --ring en
      manyheads encoder build --kind random-6x768 --out ./encoder
    """
    from manyheads.cli.encoder import BuildOptions, run_build

    run_build(BuildOptions(kind=kind, out=out, ring=ring, cells=tuple(cell or ())), bootstrap_servers, store)
