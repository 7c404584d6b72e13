"""``topics list`` and ``topics create``: the topics of a ring, against the catalogue."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from manyheads.cli.catalogue import Row, show
from manyheads.cli.moments import seconds
from manyheads.cli.settings import kafka_settings
from manyheads.infra.admin import TopicAdmin, TopicState
from manyheads.topics.catalogue import RETENTION, TopicSpec, ring_topics, shared_topics
from manyheads.topics.names import REPLIES_TOPIC, CellName, RingName, parse_stage_topic
from manyheads.topics.names import cell as cell_name
from manyheads.topics.names import ring as ring_name

_FIRST_CELL = cell_name("c0")
_REPLICATE_S = 60.0
"""for all brokers to be there, and again for the copies to be made"""


def run_list_topics(ring: str, cells: Sequence[str], bootstrap_servers: str | None, *, as_json: bool) -> None:
    """Show the ring's topics and what differs. Raises ManyheadsError."""
    wanted, named = ring_name(ring), tuple(map(cell_name, cells))
    with TopicAdmin(kafka_settings(bootstrap_servers)) as admin:
        found = {state.name: state for state in admin.list()}
    rows: list[Row] = []
    for spec in _specs(wanted, named or cells_of(wanted, found)):
        state = found.get(spec.name)
        rows.append(
            {
                "topic": spec.name,
                "partitions": 0 if state is None else state.partitions,
                "replicas": 0 if state is None else state.replicas,
                "differs": ", ".join(drift(spec, state)) or None,
            }
        )
    show(rows, as_json, f"ring {ring} has no topics")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long records are to be kept, in milliseconds; None leaves that as it is."""

    embeddings_ms: int | None = None
    replies_ms: int | None = None

    @classmethod
    def parse(cls, embeddings: str | None, replies: str | None) -> Self:
        """From spans of time such as ``24h``. Raises InvalidRequest(invalid_argument)."""
        return cls(*(None if text is None else seconds(text) * 1_000 for text in (embeddings, replies)))

    def applied(self, spec: TopicSpec) -> TopicSpec:
        """The topic with what this says of it; transient embeddings are kept as the catalogue says."""
        stage = parse_stage_topic(spec.name)
        wanted = None
        if spec.name == REPLIES_TOPIC:
            wanted = self.replies_ms
        elif stage is not None and stage.cell is not None and not stage.transient:
            wanted = self.embeddings_ms
        return spec if wanted is None else replace(spec, settings=spec.settings | {RETENTION: str(wanted)})


def run_create_topics(
    ring: str,
    cells: Sequence[str],
    bootstrap_servers: str | None,
    replication: int | None,
    retention: Retention = Retention(),
) -> None:
    """Create and correct the ring's topics. Raises ManyheadsError."""
    wanted, named = ring_name(ring), tuple(map(cell_name, cells))
    with TopicAdmin(kafka_settings(bootstrap_servers)) as admin:
        chosen = named or cells_of(wanted, (state.name for state in admin.list()))
        changes = admin.ensure(map(retention.applied, _specs(wanted, chosen)), replicas=replication)
    for name in changes.created:
        print(f"created {name}")
    for partitions in changes.enlarged:
        print(f"{partitions.topic}: {partitions.before} partitions are now {partitions.after}")
    for setting in changes.altered:
        print(f"{setting.topic}: {setting.setting} was {setting.before}, is {setting.after}")
    if not changes:
        print(f"the topics of ring {ring} are as they should be")


def run_replicate(copies: int, bootstrap_servers: str | None) -> None:
    """Copy every topic to more brokers. Raises ManyheadsError."""
    with TopicAdmin(kafka_settings(bootstrap_servers), timeout_s=_REPLICATE_S) as admin:
        replicated = admin.replicate(copies)
    for name in replicated:
        print(f"{name} has {copies} copies")
    if not replicated:
        print(f"every topic has {copies} copies")


def cells_of(ring: RingName, topics: Iterable[str]) -> tuple[CellName, ...]:
    """The cells that a ring's topics name, sorted; the first cell if none does."""
    parsed = map(parse_stage_topic, topics)
    found = {stage.cell for stage in parsed if stage is not None and stage.ring == ring and stage.cell is not None}
    return tuple(sorted(found)) or (_FIRST_CELL,)


def drift(spec: TopicSpec, state: TopicState | None) -> list[str]:
    """How a topic differs from what it should be, in words."""
    if state is None:
        return ["missing"]
    found = []
    if state.partitions < spec.partitions:
        found.append(f"{spec.partitions} partitions wanted")
    for name, value in spec.settings.items():
        actual = state.settings.get(name)
        if actual != value:
            found.append(f"{name}={actual or 'default'}, {value} wanted")
    return found


def _specs(ring: RingName, cells: Sequence[CellName]) -> tuple[TopicSpec, ...]:
    return (*shared_topics(), *ring_topics(ring, cells))
