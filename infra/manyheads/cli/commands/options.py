"""Options that several commands have, and how a group of commands is made."""

from typing import Annotated

import typer

Servers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        "-b",
        metavar="HOST:PORT",
        help="Kafka. Default: MANYHEADS_BOOTSTRAP_SERVERS, else localhost:9092.",
    ),
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="URL", help="The model store. Default: MANYHEADS_STORE_URL, else .manyheads/store."
    ),
]
RingOption = Annotated[str, typer.Option("--ring", metavar="RING", help="The ring.")]
CellOption = Annotated[str, typer.Option("--cell", metavar="CELL", help="The cell.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
CellsOption = Annotated[
    list[str] | None,
    typer.Option("--cell", metavar="CELL", help="A cell; may be repeated. Default: the ring's cells, else c0."),
]


def command_group(name: str, what: str) -> typer.Typer:
    """A group of commands, ``manyheads <name> ...``, without rich: it would take three times as long to import."""
    return typer.Typer(name=name, help=what, no_args_is_help=True, rich_markup_mode=None)
