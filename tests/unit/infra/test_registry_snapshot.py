"""The registry as a fold of records."""

from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyheads.infra.registry import FixedRegistry, RegistryReader, RegistrySnapshot
from manyheads.topics import names
from manyheads.topics.errors import ErrorCode, RoutingError
from manyheads.topics.registry import ArtifactRef, HeadRecord, PlacementRecord, RegistryRecord, RingRecord
from manyheads.topics.views import View
from tests.unit.topics import strategies as ours

EN, FR = names.ring("en"), names.ring("fr")
C0, C1 = names.cell("c0"), names.cell("c1")
ACME, BETA = names.tenant("acme"), names.tenant("beta")
V1, V2 = names.version("1"), names.version("2")

RING = RingRecord(ring=EN, encoder=V1, cells=(C0, C1))


def head(tenant: names.TenantName = ACME, version: names.VersionName = V1) -> HeadRecord:
    return HeadRecord(
        ring=EN,
        tenant=tenant,
        version=version,
        space=names.space("s"),
        view=View.parse("pooled:6"),
        artifact=ArtifactRef(name="head.onnx", sha256="0" * 64, bytes=1),
    )


def placement(tenant: names.TenantName = ACME, **changes: object) -> PlacementRecord:
    return PlacementRecord.model_validate({"ring": EN, "tenant": tenant, "cell": C0, "head": V1} | changes)


def test_a_route_is_the_placement_and_the_active_head() -> None:
    snapshot = RegistrySnapshot([RING, head(), head(version=V2), placement(head=V2)])
    route = snapshot.route(EN, ACME)
    assert route.placement == placement(head=V2)
    assert route.head == head(version=V2)


@pytest.mark.parametrize(
    ("records", "code", "says"),
    [
        ([], ErrorCode.UNKNOWN_RING, "there is no ring en"),
        ([RingRecord(ring=FR, encoder=V1, cells=(C0,))], ErrorCode.UNKNOWN_RING, "known are fr"),
        ([RING], ErrorCode.UNKNOWN_TENANT, "no placement in ring en"),
        ([RING, head()], ErrorCode.UNKNOWN_TENANT, "acme"),
        ([RING, head(), placement(head=None)], ErrorCode.NO_ACTIVE_HEAD, "activate one"),
        ([RING, head(), placement(head=V2)], ErrorCode.NO_ACTIVE_HEAD, "head 2 of tenant acme"),
        ([RING, head(BETA), placement()], ErrorCode.NO_ACTIVE_HEAD, "not registered"),
    ],
)
def test_why_there_is_no_route(records: list[RegistryRecord], code: ErrorCode, says: str) -> None:
    with pytest.raises(RoutingError, match=says) as caught:
        RegistrySnapshot(records).route(EN, ACME)
    assert caught.value.code is code


def test_the_placements_of_a_cell_come_by_name() -> None:
    there = [placement(names.tenant(name)) for name in ("zoo", "acme", "beta")]
    elsewhere = [placement(names.tenant("moved"), cell=C1), placement(names.tenant("french"), ring=FR)]
    snapshot = RegistrySnapshot([*there, *elsewhere])
    assert [record.tenant for record in snapshot.placements(EN, C0)] == ["acme", "beta", "zoo"]
    assert [record.tenant for record in snapshot.placements(EN, C1)] == ["moved"]
    assert snapshot.placements(FR, C1) == ()
    assert snapshot.with_record(placement(BETA, cell=C1)).placements(EN, C0) == (
        placement(),
        placement(there[0].tenant),
    )


def test_a_change_leaves_the_snapshot_before_alone() -> None:
    before = RegistrySnapshot([RING])
    after = before.with_record(placement())
    assert before.placement(EN, ACME) is None
    assert after.placement(EN, ACME) == placement()
    assert after.without(placement().key).placement(EN, ACME) is None
    assert after.placement(EN, ACME) == placement()


def test_the_generation_rises_with_changes_only() -> None:
    before = RegistrySnapshot([RING])
    assert before.with_record(RING) is before
    assert before.without(b"ring/none") is before
    assert before.with_changes({}) is before
    after = before.with_changes({placement().key: placement(), RING.key: None})
    assert (after.generation, len(after)) == (before.generation + 1, 1)


def test_a_key_of_another_kind_finds_nothing() -> None:
    snapshot = RegistrySnapshot([RING, head(), placement()])
    assert snapshot.encoder(EN, V1) is None
    assert snapshot.ring(FR) is None
    assert snapshot.rings() == (RING,)


@given(st.lists(ours.registry_records, max_size=8), st.data())
def test_a_fold_is_the_last_of_each_key(records: list[RegistryRecord], data: st.DataObject) -> None:
    """In one go, record by record or in any parts: the same registry."""
    deleted = set(
        data.draw(st.lists(st.sampled_from([record.key for record in records]), max_size=3) if records else st.just([]))
    )
    last: dict[bytes, RegistryRecord | None] = {record.key: record for record in records} | dict.fromkeys(deleted)
    one_by_one = RegistrySnapshot()
    for record in records:
        one_by_one = one_by_one.with_record(record)
    for key in deleted:
        one_by_one = one_by_one.without(key)
    in_one_go = RegistrySnapshot().with_changes(last)
    for snapshot in (one_by_one, in_one_go):
        assert len(snapshot) == len([record for record in last.values() if record is not None])
        for record in records:
            if isinstance(record, PlacementRecord):
                assert snapshot.placement(record.ring, record.tenant) == last[record.key]
            if isinstance(record, HeadRecord):
                assert snapshot.head(record.ring, record.tenant, record.version) == last[record.key]


def test_many_threads_may_ask_at_once() -> None:
    snapshot = RegistrySnapshot([placement(names.tenant(f"t{n}")) for n in range(1_000)])
    seen: list[int] = []
    threads = [Thread(target=lambda: seen.append(len(snapshot.placements(EN, C0)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1_000] * 8


def test_a_fixed_registry_is_a_reader() -> None:
    reader: RegistryReader = FixedRegistry(RegistrySnapshot([RING]))
    assert reader.snapshot.ring(EN) == RING
