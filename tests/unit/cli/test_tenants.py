"""What ``tenants delete`` takes away, whom ``activate`` places, and what ``topics create`` is told of retention."""

from pathlib import Path

import pytest

from manyheads.cli.catalogue import activated
from manyheads.cli.deletion import Deletion, unshared
from manyheads.cli.topics import Retention
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.store import ModelStore
from manyheads.topics.catalogue import RETENTION, ring_topics, shared_topics
from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidRequest, RoutingError
from manyheads.topics.names import cell, ring, space, tenant, version
from manyheads.topics.registry import (
    ArtifactRef,
    EncoderRecord,
    HeadRecord,
    PlacementRecord,
    RegistryRecord,
    RingRecord,
)
from manyheads.topics.views import View

EN, FR = ring("en"), ring("fr")
C0, C1, C2 = cell("c0"), cell("c1"), cell("c2")
ACME = tenant("acme")
VIEW = View.parse("pooled:6")


def ref(digit: str) -> ArtifactRef:
    return ArtifactRef(name="head.onnx", sha256=digit * 64, bytes=10)


def head(who: str, number: str, file: str, where: str = "en") -> HeadRecord:
    return HeadRecord(
        ring=ring(where), tenant=tenant(who), version=version(number), space=space("s"), view=VIEW, artifact=ref(file)
    )


def registry(*records: RegistryRecord) -> RegistrySnapshot:
    return RegistrySnapshot([RingRecord(ring=EN, encoder=version("1"), cells=(C0, C1)), *records])


def encoder(file: ArtifactRef) -> EncoderRecord:
    return EncoderRecord(
        ring=EN,
        version=version("1"),
        space=space("s"),
        layers=6,
        width=8,
        views=(VIEW,),
        max_tokens=250,
        artifacts=(file,),
    )


def test_everything_of_the_tenant_and_nothing_of_others() -> None:
    placement = PlacementRecord(ring=EN, tenant=ACME, cell=C0, head=version("2"))
    mine = head("acme", "1", "a"), head("acme", "2", "b")
    deletion = Deletion.of(registry(placement, *mine, head("other", "1", "c")), EN, ACME)
    assert deletion.placement == placement
    assert deletion.heads == mine
    assert deletion.artifacts == (ref("a"), ref("b"))


def test_a_file_that_somebody_else_uses_stays() -> None:
    mine = (head("acme", "1", "a"), head("acme", "2", "b"), head("acme", "3", "c"), head("acme", "4", "d"))
    others = (head("other", "1", "a"), head("acme", "1", "b", where="fr"), encoder(ref("c")))
    assert unshared(registry(*mine, *others), mine) == (ref("d"),)
    assert unshared(registry(*mine), mine) == tuple(map(ref, "abcd"))
    assert unshared(registry(*others), mine) == (ref("d"),), "its own records may be gone by then"


def test_a_file_of_two_of_its_own_heads_goes_once() -> None:
    mine = head("acme", "1", "a"), head("acme", "2", "a")
    assert Deletion.of(registry(*mine), EN, ACME).artifacts == (ref("a"),)


def test_a_tenant_may_have_left_something_in_any_cell() -> None:
    mine = head("acme", "1", "a")
    for where, cells in ((C1, (C0, C1)), (C2, (C0, C1, C2))):  # C2: the ring has it no more
        placement = PlacementRecord(ring=EN, tenant=ACME, cell=where, head=mine.version)
        assert Deletion.of(registry(placement, mine), EN, ACME).cells == cells
    assert Deletion.of(registry(mine), EN, ACME).cells == (C0, C1)


def deletion(store: ModelStore, *, placed: bool) -> Deletion:
    """Of a tenant with one head, in a ring whose encoder is in the store; the head's file was removed from it."""
    mine = head("acme", "1", "a").model_copy(update={"artifact": store.put("head.onnx", b"head")})
    placement = PlacementRecord(ring=EN, tenant=ACME, cell=C0, head=mine.version)
    known = registry(encoder(store.put("model.onnx", b"encoder")), mine)
    store.remove(mine.artifact)
    return Deletion.of(known.with_record(placement) if placed else known, EN, ACME)


def test_what_is_to_be_deleted_is_in_the_store(tmp_path: Path) -> None:
    store = ModelStore(str(tmp_path))
    wanted = deletion(store, placed=True)
    with pytest.raises(ArtifactError, match=r"nothing was deleted.*point MANYHEADS_STORE_URL to") as caught:
        wanted.check(store)
    assert caught.value.code is ErrorCode.ARTIFACT_MISSING
    store.put("head.onnx", b"head")
    wanted.check(store)


def test_a_damaged_file_may_be_deleted(tmp_path: Path) -> None:
    store = ModelStore(str(tmp_path))
    wanted = deletion(store, placed=True)
    store.put("head.onnx", b"head")
    store.fetch(wanted.artifacts[0]).write_bytes(b"")
    wanted.check(store)


def test_a_delete_that_was_interrupted_has_removed_files_already(tmp_path: Path) -> None:
    """Which only the ring's own store tells: any other does not have them either."""
    store, elsewhere = ModelStore(str(tmp_path / "here")), ModelStore(str(tmp_path / "elsewhere"))
    wanted = deletion(store, placed=False)
    wanted.check(store)
    with pytest.raises(ArtifactError, match="nothing was deleted"):
        wanted.check(elsewhere)


def test_nobody_to_delete() -> None:
    with pytest.raises(RoutingError) as caught:
        Deletion.of(registry(head("other", "1", "a")), EN, ACME)
    assert caught.value.code is ErrorCode.UNKNOWN_TENANT
    with pytest.raises(RoutingError) as caught:
        Deletion.of(registry(), FR, ACME)
    assert caught.value.code is ErrorCode.UNKNOWN_RING


def test_a_registered_head_places_its_tenant_when_it_is_activated() -> None:
    first = PlacementRecord(ring=EN, tenant=ACME, cell=C0, head=version("1"))
    assert activated(registry(head("acme", "1", "a")), EN, ACME, version("1")) == first


def test_activating_changes_the_head_and_nothing_else() -> None:
    present = PlacementRecord(ring=EN, tenant=ACME, cell=C2, head=version("1"), spread=3, transient=True)
    known = registry(present, head("acme", "1", "a"), head("acme", "2", "b"))
    assert activated(known, EN, ACME, version("2")) == present.model_copy(update={"head": version("2")})


@pytest.mark.parametrize(
    ("records", "code", "says"),
    [
        ((), ErrorCode.UNKNOWN_TENANT, "manyheads train"),
        ((head("acme", "2", "b"),), ErrorCode.NO_ACTIVE_HEAD, "registered are 2"),
        ((PlacementRecord(ring=EN, tenant=ACME, cell=C0),), ErrorCode.NO_ACTIVE_HEAD, "registered are none"),
    ],
)
def test_a_head_that_is_not_registered_is_not_activated(
    records: tuple[RegistryRecord, ...], code: ErrorCode, says: str
) -> None:
    with pytest.raises(RoutingError, match=says) as caught:
        activated(registry(*records), EN, ACME, version("1"))
    assert caught.value.code is code


def test_retention_is_set_where_it_is_asked_for() -> None:
    specs = {spec.name: spec for spec in (*shared_topics(), *ring_topics(EN, [C0]))}
    hours = Retention.parse("48h", "2h")
    kept = {name: hours.applied(spec).settings.get(RETENTION) for name, spec in specs.items()}
    assert kept["nlu.en.c0.embeddings"] == kept["nlu.en.c0.embeddings.batch"] == str(48 * 3_600_000)
    assert kept["nlu.replies"] == str(2 * 3_600_000)
    told = {"nlu.en.c0.embeddings", "nlu.en.c0.embeddings.batch", "nlu.replies"}
    assert all(kept[name] == spec.settings.get(RETENTION) for name, spec in specs.items() if name not in told)
    assert all(Retention().applied(spec) is spec for spec in specs.values())
    with pytest.raises(InvalidRequest):
        Retention.parse("a while", None)
