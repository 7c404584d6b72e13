"""Logs in bulk."""

from typing import Annotated

import typer

from manyheads.cli.commands.options import JsonOption, RingOption, Servers
from manyheads.cli.lane_kind import LaneKind

commands = typer.Typer()


@commands.command()
def reprocess(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders, globs, URLs (s3://...): .parquet, .csv, .jsonl, the latter two also .gz and .zst. Or "
            "topic:NAME.",
        ),
    ],
    *,
    tenant_column: Annotated[str, typer.Option(metavar="NAME", help="The column that names the tenant.")] = "tenant",
    text_column: Annotated[str, typer.Option(metavar="NAME", help="The column that has the text.")] = "text",
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where the output goes, path or URL.")] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="parquet, jsonl, or topic:NAME instead of --out.")
    ] = "parquet",
    rejects: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where rejected rows go. Default: beside the output.")
    ] = None,
    text: Annotated[bool, typer.Option(help="Write the texts to the output.")] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="The first rows only.")] = None,
    sample: Annotated[
        float | None, typer.Option(min=0.000_001, max=1, help="About this share of the rows, always the same ones.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Of a topic: from how long ago (24h, 7d), or when.")
    ] = None,
    dedupe: Annotated[bool, typer.Option(help="Send each distinct text once, for all its tenants.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count, and estimate the time.")] = False,
    job: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The job's name; processes of one name share it. Default: of the options."),
    ] = None,
    in_flight: Annotated[int, typer.Option(min=1, max=100_000, help="Answers to wait for at one time.")] = 2_000,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Requests a second of this process at most.")] = None,
    bucket_rows: Annotated[
        int, typer.Option(min=1, help="Rows of one bucket: what a crash makes to be done again.")
    ] = 20_000,
    lane: Annotated[LaneKind, typer.Option(help="batch yields to live traffic.")] = LaneKind.BATCH,
    ring: RingOption = "en",
    bootstrap_servers: Servers = None,
    json: JsonOption = False,
) -> None:
    """Run logs through their tenants' heads.

    Every row is in the output once, whatever is killed meanwhile: run the same command again, and it goes on where it
    was. Several processes of one --job share the work, on any machines that see the same inputs and output. Exits with
    3 if rows were rejected.

    \b
    Example:
      manyheads reprocess logs/*.parquet --tenant-column t --text-column q --out results/
      manyheads reprocess topic:raw-logs --since 24h --format jsonl --out s3://bucket/results
      manyheads reprocess export.csv.gz --dry-run
    """
    from manyheads.cli.reprocess import ReprocessRequest, run_reprocess

    run_reprocess(
        ReprocessRequest(
            inputs=tuple(inputs),
            tenant_column=tenant_column,
            text_column=text_column,
            out=out,
            format=format_,
            rejects=rejects,
            text=text,
            limit=limit,
            sample=sample,
            since=since,
            dedupe=dedupe,
            dry_run=dry_run,
            job=job,
            in_flight=in_flight,
            rate=rate,
            bucket_rows=bucket_rows,
            lane=lane,
            ring=ring,
        ),
        bootstrap_servers,
        as_json=json,
    )
