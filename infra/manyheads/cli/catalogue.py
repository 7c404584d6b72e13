"""``tenants list``, ``heads list`` and ``activate``: the registry, read and changed."""

import json
from collections.abc import Container

from rich.box import SIMPLE_HEAD
from rich.table import Table

from manyheads.cli.settings import kafka_settings
from manyheads.cli.steps import console
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.registry.follower import RegistryFollower
from manyheads.infra.registry.writer import RegistryWriter
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.errors import ErrorCode, InvalidRequest, RoutingError
from manyheads.topics.names import CellName, RingName, TenantName, VersionName
from manyheads.topics.names import ring as ring_name
from manyheads.topics.names import tenant as tenant_name
from manyheads.topics.names import version as version_name
from manyheads.topics.registry import HeadRecord, PlacementRecord, RingRecord

READ_S = 10.0
"""How long a command waits for the registry."""

Row = dict[str, object]


def read_registry(settings: KafkaSettings) -> RegistrySnapshot:
    """The registry as it is now. Raises BrokerError."""
    follower = RegistryFollower(settings)
    follower.start(READ_S)
    with follower:
        return follower.snapshot


def find_ring(snapshot: RegistrySnapshot, ring: RingName) -> RingRecord:
    """The ring's record. Raises RoutingError(unknown_ring)."""
    record = snapshot.ring(ring)
    if record is None:
        known = ", ".join(found.ring for found in snapshot.rings()) or "none"
        raise RoutingError(
            ErrorCode.UNKNOWN_RING,
            f"there is no ring {ring}; known are {known}. To add it: manyheads encoder build --ring {ring}",
            ring=ring,
        )
    return record


def run_list_tenants(ring: str, bootstrap_servers: str | None, *, as_json: bool) -> None:
    """Show the tenants of a ring. Raises ManyheadsError."""
    wanted = ring_name(ring)
    snapshot = read_registry(kafka_settings(bootstrap_servers))
    find_ring(snapshot, wanted)
    show(
        [_tenant_row(snapshot, placement) for placement in snapshot.tenants(wanted)],
        as_json,
        f"ring {ring} has no tenant",
        only_json=("precision", "spread"),
    )


def run_list_heads(ring: str, tenant: str | None, bootstrap_servers: str | None, *, as_json: bool) -> None:
    """Show the heads of a ring, or of one of its tenants. Raises ManyheadsError."""
    wanted = ring_name(ring)
    only = None if tenant is None else tenant_name(tenant)
    snapshot = read_registry(kafka_settings(bootstrap_servers))
    find_ring(snapshot, wanted)
    rows: list[Row] = []
    for head in snapshot.heads(wanted):
        if only in (None, head.tenant):
            placement = snapshot.placement(wanted, head.tenant)
            rows.append(
                {
                    "tenant": head.tenant,
                    "version": head.version,
                    "active": placement is not None and placement.head == head.version,
                    "reads": str(head.view),
                    "space": head.space,
                    "bytes": head.artifact.bytes,
                }
            )
    show(rows, as_json, f"no head is registered for {only or f'ring {ring}'}", ("space",))


def run_activate(tenant: str, version: str, ring: str, bootstrap_servers: str | None) -> None:
    """Let a registered head answer for its tenant. Raises ManyheadsError."""
    settings = kafka_settings(bootstrap_servers)
    names = ring_name(ring), tenant_name(tenant), version_name(version)
    placement = activated(read_registry(settings), *names)
    with RegistryWriter(settings, READ_S) as writer:
        writer.put(placement)
    print(f"{tenant} in ring {ring} is answered by head {version}")


def activated(snapshot: RegistrySnapshot, ring: RingName, tenant: TenantName, version: VersionName) -> PlacementRecord:
    """The tenant's placement with that head active; a tenant that has none yet is placed as by ``train``.

    Raises:
        RoutingError: unknown_ring, unknown_tenant, or no_active_head if the version is not registered.
    """
    find_ring(snapshot, ring)
    head = snapshot.head(ring, tenant, version)
    if head is None:
        raise _no_head(snapshot, ring, tenant, version)
    placement = snapshot.placement(ring, tenant)
    # Where it is, even if the ring has no such cell any more: moving it is for train --cell.
    cell = choose_cell(snapshot, ring, tenant) if placement is None else placement.cell
    return placed(snapshot, head, cell)


def placed(snapshot: RegistrySnapshot, head: HeadRecord, cell: CellName) -> PlacementRecord:
    """The placement of the head's tenant with that head, in ``cell``; all else as it is, or new."""
    present = snapshot.placement(head.ring, head.tenant)
    if present is None:
        return PlacementRecord(ring=head.ring, tenant=head.tenant, cell=cell, head=head.version)
    return present.model_copy(update={"cell": cell, "head": head.version})


def choose_cell(
    snapshot: RegistrySnapshot, ring: RingName, tenant: TenantName, wanted: CellName | None = None
) -> CellName:
    """The cell that the tenant shall live in: the one wanted, else where it is, else the ring's first.

    Raises:
        RoutingError: unknown_ring.
        InvalidRequest: invalid_argument if the ring has no such cell.
    """
    cells = find_ring(snapshot, ring).cells
    placement = snapshot.placement(ring, tenant)
    cell = wanted or (placement.cell if placement is not None else cells[0])
    if cell not in cells:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT, f"ring {ring} has no cell {cell}; it has {', '.join(cells)}", ring=ring
        )
    return cell


def _no_head(snapshot: RegistrySnapshot, ring: RingName, tenant: TenantName, version: VersionName) -> RoutingError:
    known = [head.version for head in snapshot.heads(ring) if head.tenant == tenant]
    if not known and snapshot.placement(ring, tenant) is None:
        return RoutingError(
            ErrorCode.UNKNOWN_TENANT,
            f"tenant {tenant} is not in ring {ring}; train a head for it with manyheads train",
            ring=ring,
            tenant=tenant,
        )
    return RoutingError(
        ErrorCode.NO_ACTIVE_HEAD,
        f"tenant {tenant} has no head {version} in ring {ring}; registered are {', '.join(known) or 'none'}",
        ring=ring,
        tenant=tenant,
        head=version,
    )


def show(rows: list[Row], as_json: bool, if_none: str, only_json: Container[str] = ()) -> None:
    """The rows as a table without the columns ``only_json``, or as JSON, one object a line."""
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    if not rows:
        print(if_none)
        return
    table = Table(box=SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False)
    rows = [{name: value for name, value in row.items() if name not in only_json} for row in rows]
    for name, value in rows[0].items():
        number = isinstance(value, int) and not isinstance(value, bool)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console().print(table)


def _tenant_row(snapshot: RegistrySnapshot, placement: PlacementRecord) -> Row:
    head = None if placement.head is None else snapshot.head(placement.ring, placement.tenant, placement.head)
    return {
        "tenant": placement.tenant,
        "cell": placement.cell,
        "head": placement.head,
        "reads": None if head is None else str(head.view),
        "bytes": 0 if head is None else head.artifact.bytes,
        "precision": placement.precision.value,
        "spread": placement.spread,
        "transient": placement.transient,
    }


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else ""
        case int():
            return f"{value:,}"
    return str(value)
