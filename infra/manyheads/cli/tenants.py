"""``tenants retention`` and ``tenants delete``: what is kept of a tenant."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from time import time_ns

import typer

from manyheads.cli.catalogue import READ_S, find_ring, read_registry
from manyheads.cli.deletion import Deletion, cells_of, unknown
from manyheads.cli.moments import shown
from manyheads.cli.settings import kafka_settings, model_store
from manyheads.infra.admin import TopicAdmin, TopicState
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store import ModelStore
from manyheads.topics.catalogue import RETENTION
from manyheads.topics.errors import BrokerError, ErrorCode, InvalidRequest
from manyheads.topics.names import (
    REPLIES_TOPIC,
    CellName,
    Lane,
    RingName,
    TenantName,
    dead_letter_topic,
    embeddings_topic,
    requests_topic,
)
from manyheads.topics.names import ring as ring_name
from manyheads.topics.names import tenant as tenant_name

Topics = Mapping[str, TopicState]

_NO_LIMIT = "-1"


def run_retention(tenant: str, ring: str, bootstrap_servers: str | None, *, transient: bool) -> None:
    """Let the tenant's embeddings be retained from now on, or not. Raises ManyheadsError."""
    settings = kafka_settings(bootstrap_servers)
    here, who = ring_name(ring), tenant_name(tenant)
    snapshot = read_registry(settings)
    find_ring(snapshot, here)
    placement = snapshot.placement(here, who)
    if placement is None:
        raise unknown(here, who)
    found = _topics(settings)
    topics = [embeddings_topic(here, placement.cell, lane, transient=transient) for lane in Lane]
    missing = [topic for topic in topics if topic not in found]
    if missing:
        raise BrokerError(
            ErrorCode.TOPICS_MISSING,
            f"Kafka has no topic {missing[0]}; run manyheads topics create --ring {here}, and upgrade the head workers "
            "of before it was there, before a tenant is moved to it",
            topic=missing[0],
        )
    with RegistryWriter(settings, READ_S) as writer:
        writer.put(placement.model_copy(update={"transient": transient}))
    print(f"embeddings of {who} in ring {here} go to {topics[0]} now, {_kept(found[topics[0]])}")
    if transient:
        _print_remains(found, _embeddings(here, cells_of(snapshot, here, placement), transient=False))


def run_delete(
    tenant: str, ring: str, bootstrap_servers: str | None, store_url: str | None, *, confirmed: bool
) -> None:
    """Delete a tenant: its placement, its heads, and their files. Raises ManyheadsError."""
    settings, store = kafka_settings(bootstrap_servers), model_store(store_url)
    here, who = ring_name(ring), tenant_name(tenant)
    deletion = _checked(settings, store, here, who)
    found = _topics(settings)
    if not confirmed:
        _confirm(deletion)
        # As it is now: whoever was asked may have taken their time.
        deletion = _checked(settings, store, here, who)
    deleted = deletion.carry_out(settings, store)
    gone = f"; {deleted.absent} files were gone already" if deleted.absent else ""
    print(f"deleted: {_what(deletion, deleted.removed, deleted.removed + deleted.absent)}{gone}")
    _print_remains(found, _all_topics(deletion.ring, deletion.cells))
    print("Caches of worker machines and backups are not touched: see docs/privacy.md.")


def _checked(settings: KafkaSettings, store: ModelStore, ring: RingName, tenant: TenantName) -> Deletion:
    deletion = Deletion.of(read_registry(settings), ring, tenant)
    deletion.check(store)
    return deletion


def _confirm(deletion: Deletion) -> None:
    own = len(deletion.artifacts)
    what = _what(deletion, own, own)
    if not sys.stdin.isatty():
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"this would delete {what}, and nobody can be asked here; add --yes",
            tenant=deletion.tenant,
            ring=deletion.ring,
        )
    typer.confirm(f"Delete {what}? Its requests are answered unknown_tenant from then on.", abort=True)


def _what(deletion: Deletion, files: int, own: int) -> str:
    """In words; ``own`` of its files are nobody else's, and ``files`` of these go."""
    shared = len({head.artifact.sha256 for head in deletion.heads}) - own
    kept = f" ({shared} that others use stay)" if shared else ""
    placement = "no placement" if deletion.placement is None else "the placement"
    return (
        f"{placement}, {len(deletion.heads)} heads and {files} files{kept} of tenant {deletion.tenant} in ring "
        f"{deletion.ring}"
    )


def _topics(settings: KafkaSettings) -> Topics:
    with TopicAdmin(settings) as admin:
        return {state.name: state for state in admin.list()}


def _embeddings(ring: RingName, cells: Iterable[CellName], *, transient: bool) -> Iterator[str]:
    for cell in cells:
        for lane in Lane:
            topic = embeddings_topic(ring, cell, lane, transient=transient)
            yield from (topic, dead_letter_topic(topic))


def _all_topics(ring: RingName, cells: Iterable[CellName]) -> Iterator[str]:
    """The topics that may hold records of a tenant."""
    for lane in Lane:
        yield from (requests_topic(ring, lane), dead_letter_topic(requests_topic(ring, lane)))
    yield from _embeddings(ring, cells, transient=False)
    yield from _embeddings(ring, cells, transient=True)
    yield REPLIES_TOPIC


def _print_remains(found: Topics, topics: Iterable[str]) -> None:
    """Which of the topics may still hold what was sent until now, and until when."""
    now_ms = time_ns() // 1_000_000
    print("what was sent until now remains, at the latest until its retention has passed:")
    for topic in topics:
        state = found.get(topic)
        if state is None:
            continue
        retention = state.settings.get(RETENTION)
        if retention is None or retention == _NO_LIMIT:
            until = "for ever" if retention else "for as long as the broker's default says"
        else:
            until = f"until {shown(now_ms + int(retention))}"
        print(f"  {topic}: {until}")


def _kept(state: TopicState) -> str:
    retention = state.settings.get(RETENTION)
    if retention is None:
        return "kept as long as the broker's default says"
    return "kept for ever" if retention == _NO_LIMIT else f"kept for {int(retention) / 60_000:g} minutes"
