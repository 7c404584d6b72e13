"""What ``tenants delete`` takes away, and what ``topics create`` is told of retention."""

import pytest

from manyheads.cli.tenants import Deletion, unshared
from manyheads.cli.topics import Retention
from manyheads.infra.registry import RegistrySnapshot
from manyheads.topics.catalogue import RETENTION, ring_topics, shared_topics
from manyheads.topics.errors import ErrorCode, InvalidRequest, RoutingError
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

EN, FR, C0 = ring("en"), ring("fr"), cell("c0")
ACME = tenant("acme")
VIEW = View.parse("pooled:6")


def ref(digit: str) -> ArtifactRef:
    return ArtifactRef(name="head.onnx", sha256=digit * 64, bytes=10)


def head(who: str, number: str, file: str, where: str = "en") -> HeadRecord:
    return HeadRecord(
        ring=ring(where), tenant=tenant(who), version=version(number), space=space("s"), view=VIEW, artifact=ref(file)
    )


def registry(*records: RegistryRecord) -> RegistrySnapshot:
    return RegistrySnapshot([RingRecord(ring=EN, encoder=version("1"), cells=(C0,)), *records])


def test_everything_of_the_tenant_and_nothing_of_others() -> None:
    placement = PlacementRecord(ring=EN, tenant=ACME, cell=C0, head=version("2"))
    mine = head("acme", "1", "a"), head("acme", "2", "b")
    deletion = Deletion.of(registry(placement, *mine, head("other", "1", "c")), EN, ACME)
    assert deletion.keys == (placement.key, mine[0].key, mine[1].key)
    assert deletion.artifacts == (ref("a"), ref("b"))


def test_a_file_that_somebody_else_uses_stays() -> None:
    mine = (head("acme", "1", "a"), head("acme", "2", "b"), head("acme", "3", "c"), head("acme", "4", "d"))
    encoder = EncoderRecord(
        ring=EN,
        version=version("1"),
        space=space("s"),
        layers=6,
        width=8,
        views=(VIEW,),
        max_tokens=250,
        artifacts=(ref("c"),),
    )
    others = (head("other", "1", "a"), head("acme", "1", "b", where="fr"), encoder)
    assert unshared(registry(*mine, *others), mine) == (ref("d"),)
    assert unshared(registry(*mine), mine) == tuple(map(ref, "abcd"))
    assert unshared(registry(*others), mine) == (ref("d"),), "its own records may be gone by then"


def test_a_file_of_two_of_its_own_heads_goes_once() -> None:
    mine = head("acme", "1", "a"), head("acme", "2", "a")
    assert Deletion.of(registry(*mine), EN, ACME).artifacts == (ref("a"),)


def test_nobody_to_delete() -> None:
    with pytest.raises(RoutingError) as caught:
        Deletion.of(registry(head("other", "1", "a")), EN, ACME)
    assert caught.value.code is ErrorCode.UNKNOWN_TENANT
    with pytest.raises(RoutingError) as caught:
        Deletion.of(registry(), FR, ACME)
    assert caught.value.code is ErrorCode.UNKNOWN_RING


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
