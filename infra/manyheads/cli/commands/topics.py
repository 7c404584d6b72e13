"""The topics of a ring."""

from typing import Annotated

import typer

from manyheads.cli.commands.options import CellsOption, JsonOption, RingOption, Servers, command_group

commands = command_group("topics", "The topics of a ring.")


@commands.command("list")
def list_topics(
    bootstrap_servers: Servers = None, ring: RingOption = "en", cell: CellsOption = None, json: JsonOption = False
) -> None:
    """List the topics of a ring and what differs.

    Shown next to what the catalogue wants: partitions and settings.

    \b
    Example:
      manyheads topics list --ring en
    """
    from manyheads.cli.topics import run_list_topics

    run_list_topics(ring, cell or [], bootstrap_servers, as_json=json)


@commands.command("create")
def create_topics(
    *,
    bootstrap_servers: Servers = None,
    ring: RingOption = "en",
    cell: CellsOption = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=9, help="Copies of each partition. Default: the broker's.")
    ] = None,
    retain_embeddings: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="Keep the ring's embeddings for so long: 24h, 7d. Default: as is; new: 24h."),
    ] = None,
    retain_replies: Annotated[
        str | None, typer.Option(metavar="SPAN", help="The same for replies, which all rings share.")
    ] = None,
) -> None:
    """Create the topics that a ring lacks.

    Corrects the settings of those that are there. Deletes nothing, unless embeddings or replies are to be kept for a
    shorter time than they were: manyheads replay reaches back no further than both.

    \b
    Example:
      manyheads topics create --ring fr --cell c0 --cell c1
      manyheads topics create --retain-embeddings 72h --retain-replies 72h
    """
    from manyheads.cli.topics import Retention, run_create_topics

    retention = Retention.parse(retain_embeddings, retain_replies)
    run_create_topics(ring, cell or [], bootstrap_servers, replication, retention)


@commands.command("replicate")
def replicate_topics(
    copies: Annotated[int, typer.Argument(metavar="COPIES", min=2, max=9, help="Brokers that shall have each.")],
    bootstrap_servers: Servers = None,
) -> None:
    """Copy every topic to more brokers.

    For a cluster that has grown: all topics, Kafka's own included, get COPIES copies of each partition, and a write is
    acknowledged when all but one have it. Copies are never taken away.

    \b
    Example:
      manyheads topics replicate 3
    """
    from manyheads.cli.topics import run_replicate

    run_replicate(copies, bootstrap_servers)
