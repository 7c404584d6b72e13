"""The commands and their options. What a command does is in the module that it imports when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from manyheads.cli.encoder_kind import EncoderKind
from manyheads.cli.lag_levels import FailOn
from manyheads.cli.top_by import TopBy

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


def _group(name: str, what: str) -> typer.Typer:
    group = typer.Typer(name=name, help=what, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group)
    return group


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


@app.command()
def demo(
    requests: Annotated[int, typer.Option(min=1, max=1_000_000, help="Requests to send.")] = 2_000,
    kill: Annotated[bool, typer.Option("--kill", help="Kill and restart workers while the requests run.")] = False,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the models and the logs in DIR.")] = None,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap-servers", "-b", metavar="HOST:PORT", help="Only send the requests, to a seeded pipeline there."
        ),
    ] = None,
) -> None:
    """Run the whole pipeline once, on a real Kafka.

    Builds an encoder, trains heads live, starts workers, sends requests, shows what came back, stops everything.
    With --bootstrap-servers it starts nothing and sends its requests to a pipeline that runs there.

    \b
    Example:
      manyheads demo --requests 5000 --kill
      manyheads demo -b localhost:9092
    """
    if bootstrap_servers is not None:
        if kill or keep is not None:
            raise typer.BadParameter("--kill and --keep are for a stack that the demo starts itself; leave out -b")
        from manyheads.cli.demo.remote import run_remote_demo

        run_remote_demo(requests, bootstrap_servers)
        return
    from manyheads.cli.demo.run import DemoOptions, run_demo

    run_demo(DemoOptions(requests=requests, kill=kill, keep=keep))


@app.command()
def seed(bootstrap_servers: Servers = None, store: StoreUrl = None) -> None:
    """Give a running Kafka the demo's ring.

    Creates its topics, builds its encoder, trains a head for each of the demo's tenants, and registers them. What is
    there already stays, so it may run at every start.

    \b
    Example:
      manyheads seed -b localhost:9092 --store ./models
    """
    from manyheads.cli.seed import run_seed

    run_seed(bootstrap_servers, store)


@app.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Kafka's port on 127.0.0.1.")] = 9092,
    state: Annotated[Path, typer.Option(metavar="DIR", help="Where models, topics and logs stay.")] = Path(
        ".manyheads"
    ),
    head_workers: Annotated[int, typer.Option(min=1, max=16, help="Head workers to start.")] = 2,
) -> None:
    """Keep a local pipeline running until Ctrl-C.

    Kafka, an encoder worker and head workers, with the demo's tenants. The second start is fast.

    \b
    Example:
      manyheads up
      manyheads ask acme-bank "move 40 euros to my savings"      in another terminal
    """
    from manyheads.cli.up import UpOptions, run_up

    run_up(UpOptions(port=port, state=state, head_workers=head_workers))


@app.command()
def ask(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose head answers.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to understand.")],
    *,
    bootstrap_servers: Servers = None,
    ring: RingOption = "en",
    timeout: Annotated[float, typer.Option(min=0.001, max=3_600, help="Seconds to wait for the answer.")] = 10.0,
    json: JsonOption = False,
) -> None:
    """Ask a tenant's head what a text means.

    \b
    Example:
      manyheads ask acme-bank "move 40 euros to my savings"
    """
    from manyheads.cli.ask import Question, run_ask

    run_ask(Question(tenant=tenant, text=text, ring=ring, timeout_s=timeout), bootstrap_servers, as_json=json)


@app.command()
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
) -> None:
    """Train a head on a tenant's utterances.

    Running workers take it over without a restart. The utterances are encoded by the ring's live encoder, exactly as
    requests are.

    \b
    Example:
      manyheads train acme-bank acme-bank.md
      manyheads train acme-bank export.jsonl --no-activate
    """
    from manyheads.cli.train import TrainOptions, run_train

    run_train(
        TrainOptions(tenant=tenant, examples=examples, ring=ring, cell=cell, activate=activate),
        bootstrap_servers,
        store,
    )


@app.command()
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


@app.command()
def doctor(
    *,
    bootstrap_servers: Servers = None,
    store: StoreUrl = None,
    ring: Annotated[
        str | None, typer.Option("--ring", metavar="RING", help="Look at this ring only. Default: all.")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every artifact and check its digest.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds to wait for each answer of Kafka.")] = 5.0,
    json: JsonOption = False,
) -> None:
    """Check the whole deployment and say what to do.

    Settings, brokers, topics, registry, store, workers, clocks, this machine. Reads only, and changes nothing. Exits
    with 0 if nothing is wrong, 1 if something is.

    \b
    Example:
      manyheads doctor
      manyheads doctor --ring en --deep --strict --json
    """
    from manyheads.cli.doctor import run_doctor
    from manyheads.infra.doctor import DoctorOptions
    from manyheads.topics.names import ring as ring_name

    wanted = None if ring is None else ring_name(ring)
    options = DoctorOptions(bootstrap_servers, store, wanted, deep=deep, timeout_s=timeout)
    run_doctor(options, as_json=json, strict=strict)


lag = typer.Typer(name="lag", invoke_without_command=True, rich_markup_mode=None)
app.add_typer(lag)


@lag.callback()
def show_lag(
    context: typer.Context,
    *,
    bootstrap_servers: Servers = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="REGEX",
            help="The groups whose whole names match, with their partitions. Default: the pipeline's.",
        ),
    ] = None,
    ring: Annotated[str | None, typer.Option("--ring", metavar="RING", help="Only this ring's groups.")] = None,
    partitions: Annotated[bool, typer.Option("--partitions", help="Show every partition.")] = False,
    over: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds to look: rates and states need that. 0: one sample.")
    ] = 4.0,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, max=600, help="Seconds between two looks of --watch.")] = 2.0,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Exit with 1 if a group is in this state or a worse one.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show how far the workers are behind.

    For each stage: records that wait, the age of the oldest, what arrives and what is done a second, when it will have
    caught up, and its state: OK, WARN (falls behind), STALL (nothing moves), STOP (nobody is there), REWIND, ERR. Exits
    with 1 if Kafka is away.

    \b
    Example:
      manyheads lag --watch
      manyheads lag --group nlu.en.c0.head
      manyheads lag --fail-on STALL --json
    """
    if context.invoked_subcommand is not None:
        return
    from manyheads.cli.lag import LagRequest, run_lag

    run_lag(
        LagRequest(
            bootstrap_servers,
            group,
            ring,
            partitions,
            over_s=over,
            every_s=every,
            watch=watch,
            as_json=json,
            fail_on=fail_on,
        )
    )


@lag.command("serve")
def serve_lag(
    bootstrap_servers: Servers = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="The port; 0: any. Default: MANYHEADS_METRICS_PORT, else 9308."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The address. Default: MANYHEADS_METRICS_HOST, else 127.0.0.1."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(min=0.1, max=3_600, help="Seconds between rounds. Default: MANYHEADS_LAG_INTERVAL_S, else 2."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="The groups to measure. Default: MANYHEADS_LAG_GROUPS, else all."),
    ] = None,
) -> None:
    """Serve the lag to Prometheus, until SIGTERM.

    /metrics has the names of kafka-lag-exporter and kafka_exporter, and more; /healthz and /readyz say how it is.

    \b
    Example:
      manyheads lag serve
      MANYHEADS_METRICS_HOST=0.0.0.0 manyheads lag serve
    """
    from manyheads.cli.lag import run_lag_serve

    run_lag_serve(bootstrap_servers, metrics_port=port, metrics_host=host, lag_interval_s=every, lag_groups=group)


@app.command()
def dashboard(
    bootstrap_servers: Servers = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="Where to listen. Default: MANYHEADS_DASHBOARD_HOST, else 127.0.0.1; any other asks for a token.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Its port, 0 for any. Default: MANYHEADS_DASHBOARD_PORT, else 8080."),
    ] = None,
) -> None:
    """Serve the live dashboard.

    Lag, latency, errors, tenants, workers and dead letters of every ring, as a web page. It reads, and changes nothing.

    \b
    Example:
      manyheads dashboard
      manyheads dashboard -b kafka:9092 --host 0.0.0.0
    """
    from manyheads.cli.dashboard import run_dashboard

    run_dashboard(bootstrap_servers, host, port)


tenants = _group("tenants", "The tenants of a ring.")


@tenants.command("list")
def list_tenants(bootstrap_servers: Servers = None, ring: RingOption = "en", json: JsonOption = False) -> None:
    """List the tenants of a ring and their active heads.

    \b
    Example:
      manyheads tenants list --ring en
    """
    from manyheads.cli.catalogue import run_list_tenants

    run_list_tenants(ring, bootstrap_servers, as_json=json)


@tenants.command("top")
def top_tenants(
    *,
    bootstrap_servers: Servers = None,
    ring: Annotated[str | None, typer.Option(metavar="RING", help="Of this ring alone. Default: all.")] = None,
    by: Annotated[TopBy, typer.Option(help="What the first have most of.")] = TopBy.REQUESTS,
    minutes: Annotated[int, typer.Option(min=1, max=60, help="How far back.")] = 15,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show whose traffic it is: requests, errors and latency.

    As the workers reported them in the last minutes; whole requests, counted where they were answered.

    \b
    Example:
      manyheads tenants top --by errors --minutes 5
    """
    from manyheads.cli.tenants_top import TopRequest, run_tenants_top
    from manyheads.infra.telemetry.aggregate import TenantOrder

    request = TopRequest(ring=ring, by=TenantOrder(by), minutes=minutes, limit=limit)
    run_tenants_top(request, bootstrap_servers, as_json=json)


heads = _group("heads", "The heads of a ring's tenants.")


@heads.command("list")
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


topics = _group("topics", "The topics of a ring.")
CellsOption = Annotated[
    list[str] | None,
    typer.Option("--cell", metavar="CELL", help="A cell; may be repeated. Default: the ring's cells, else c0."),
]


@topics.command("list")
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


@topics.command("create")
def create_topics(
    bootstrap_servers: Servers = None,
    ring: RingOption = "en",
    cell: CellsOption = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=9, help="Copies of each partition. Default: the broker's.")
    ] = None,
) -> None:
    """Create the topics that a ring lacks.

    Corrects the settings of those that are there. Deletes nothing.

    \b
    Example:
      manyheads topics create --ring fr --cell c0 --cell c1
    """
    from manyheads.cli.topics import run_create_topics

    run_create_topics(ring, cell or [], bootstrap_servers, replication)


@topics.command("replicate")
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


encoder = _group("encoder", "The encoder of a ring.")


@encoder.command("build")
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
