"""The registry, the store and the workers: what belongs together, and what is missing."""

from pathlib import Path

import pytest

from manyheads.infra.doctor.findings import Finding, Status
from manyheads.infra.doctor.registry import (
    Registry,
    WantedArtifact,
    judge_registry,
    judge_unregistered,
    wanted_artifacts,
)
from manyheads.infra.doctor.store import judge_store, look
from manyheads.infra.doctor.workers import GroupState, judge_group, stage_groups
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.store import ModelStore
from manyheads.topics.names import cell, ring, space, tenant, version
from manyheads.topics.registry import ArtifactRef, HeadRecord, PlacementRecord, RegistryRecord
from manyheads.topics.views import View
from tests.support.records import C0, encoder_record, head_record, placement_record, ring_record

EN = ring("en")
ENCODER_FILE = ArtifactRef(name="encoder.onnx", sha256="a" * 64, bytes=7)
RING, ENCODER = ring_record(EN), encoder_record(EN, ENCODER_FILE)


def head(name: str, digit: str = "b", **changes: object) -> HeadRecord:
    artifact = ArtifactRef(name="head.onnx", sha256=digit * 64, bytes=7)
    return head_record(EN, tenant(name), artifact).model_copy(update=changes)


def placed(name: str, **changes: object) -> PlacementRecord:
    return placement_record(EN, tenant(name)).model_copy(update=changes)


def judged(*records: RegistryRecord, skipped: int = 0) -> list[Finding]:
    return list(judge_registry(Registry(RegistrySnapshot(records), skipped), [EN]))


def test_a_registry_that_fits() -> None:
    (finding,) = judged(RING, ENCODER, head("acme"), placed("acme"))
    assert finding.status is Status.OK
    assert finding.seen == "encoder v1 of space minilm, 1 cell (c0), 1 tenant"


@pytest.mark.parametrize(
    ("records", "status", "seen", "advice"),
    [
        ((), Status.FAIL, "not registered", "manyheads encoder build --ring en"),
        ((RING,), Status.FAIL, "its encoder v1 has no record", "manyheads encoder build --ring en"),
        (
            (RING, ENCODER, head("acme"), placed("acme", cell=cell("c9"))),
            Status.FAIL,
            "1 tenant placed in a cell that the ring does not have: acme",
            "--cell CELL",
        ),
        ((RING, ENCODER, placed("acme")), Status.FAIL, "active head has no record: acme", "manyheads activate"),
        (
            (RING, ENCODER, head("acme", space=space("old")), placed("acme")),
            Status.FAIL,
            "reads another space than the encoder's: acme",
            "manyheads train",
        ),
        (
            (RING, ENCODER, head("acme", view=View.parse("words:6")), placed("acme")),
            Status.FAIL,
            "reads a view that the encoder does not offer: acme",
            "manyheads train",
        ),
        ((RING, ENCODER, placed("acme", head=None)), Status.WARN, "without an active head: acme", "manyheads activate"),
    ],
)
def test_what_does_not_fit(records: tuple[RegistryRecord, ...], status: Status, seen: str, advice: str) -> None:
    (finding,) = judged(*records)
    assert finding.status is status
    assert finding.subject == "ring en"
    assert seen in finding.seen
    assert advice in finding.advice


def test_ten_thousand_tenants_in_trouble_are_one_line() -> None:
    (finding,) = judged(RING, ENCODER, *(placed(f"t-{n:05}") for n in range(10_000)))
    assert finding.seen == "10,000 tenants whose active head has no record: t-00000, t-00001, t-00002 and 9,997 more"


def test_records_that_nobody_can_read() -> None:
    first, second = judged(RING, ENCODER, skipped=3)
    assert (first.status, second.status) == (Status.WARN, Status.OK)
    assert "3 records" in first.seen


def test_no_ring_at_all_and_a_ring_with_topics_only() -> None:
    (none,) = judge_registry(Registry(RegistrySnapshot(), 0), [])
    assert (none.status, none.seen) == (Status.WARN, "none is registered")
    (finding,) = judge_unregistered(RegistrySnapshot([RING]), [EN, ring("fr")])
    assert (finding.subject, finding.status) == ("ring fr", Status.WARN)


# --- the store ---


def test_the_files_that_are_needed_now() -> None:
    spare = head("acme", "c", version=version("v2"))
    snapshot = RegistrySnapshot([RING, ENCODER, head("acme"), spare, placed("acme"), placed("idle", head=None)])
    wanted = list(wanted_artifacts(snapshot, [EN]))
    assert [each.ref for each in wanted] == [ENCODER_FILE, head("acme").artifact]
    assert [each.advice for each in wanted] == [
        "manyheads encoder build --ring en",
        "manyheads train acme EXAMPLES --ring en",
    ]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(str(tmp_path / "store"))


def file_of(store: ModelStore, ref: ArtifactRef) -> Path:
    return Path(store.url) / "sha256" / ref.sha256[:2] / ref.sha256


def looked_at(store: ModelStore, *refs: ArtifactRef, deep: bool = False) -> list[Finding]:
    wanted = [WantedArtifact(ref, f"head of {number}", "train it") for number, ref in enumerate(refs)]
    return list(judge_store(store.url, look(store, wanted, deep=deep), deep=deep))


@pytest.mark.parametrize("deep", [False, True])
def test_a_store_that_has_everything(store: ModelStore, deep: bool) -> None:
    refs = [store.put("a", b"one"), store.put("b", b"two"), store.put("c", b"one")]
    (finding,) = looked_at(store, *refs, deep=deep)
    assert finding.status is Status.OK
    assert finding.seen.startswith("2 files"), "the same content is one file"
    assert ("digest" in finding.seen) is deep


def test_a_missing_file_and_one_of_another_size(store: ModelStore) -> None:
    there, gone, cut = store.put("a", b"one"), store.put("b", b"two"), store.put("c", b"three")
    file_of(store, gone).unlink()
    file_of(store, cut).write_bytes(b"thr")
    missing, damaged, rest = looked_at(store, there, gone, cut)
    assert (missing.status, damaged.status, rest.status) == (Status.FAIL, Status.FAIL, Status.OK)
    assert "1 of 3 cannot be read: head of 1" in missing.seen
    assert "1 of 3 is damaged: head of 2" in damaged.seen
    assert "train it" in missing.advice
    assert "MANYHEADS_STORE_URL" in missing.advice


def test_damage_that_keeps_the_size_is_found_by_reading_all(store: ModelStore) -> None:
    ref = store.put("a", b"one")
    file_of(store, ref).write_bytes(b"two")
    assert [finding.status for finding in looked_at(store, ref)] == [Status.OK]
    assert [finding.status for finding in looked_at(store, ref, deep=True)] == [Status.FAIL]


# --- the workers' groups ---


def test_the_groups_of_a_ring() -> None:
    groups = list(stage_groups(EN, [C0, cell("c1")]))
    assert [(each.group, each.topic) for each in groups] == [
        ("nlu.en.encoder", "nlu.en.requests"),
        ("nlu.en.encoder.batch", "nlu.en.requests.batch"),
        ("nlu.en.c0.head", "nlu.en.c0.embeddings"),
        ("nlu.en.c0.head.transient", "nlu.en.c0.embeddings.transient"),
        ("nlu.en.c0.head.batch", "nlu.en.c0.embeddings.batch"),
        ("nlu.en.c0.head.transient.batch", "nlu.en.c0.embeddings.transient.batch"),
        ("nlu.en.c1.head", "nlu.en.c1.embeddings"),
        ("nlu.en.c1.head.transient", "nlu.en.c1.embeddings.transient"),
        ("nlu.en.c1.head.batch", "nlu.en.c1.embeddings.batch"),
        ("nlu.en.c1.head.transient.batch", "nlu.en.c1.embeddings.transient.batch"),
    ]


@pytest.mark.parametrize(
    ("state", "status", "seen", "advice"),
    [
        (GroupState("STABLE", 2, frozenset({0, 1, 2})), Status.OK, "2 members, all 3 partitions read", ""),
        (
            GroupState("DEAD", 0, frozenset()),
            Status.FAIL,
            "no worker reads nlu.en.requests",
            "MANYHEADS_RING=en python -m",
        ),
        (GroupState("EMPTY", 0, frozenset()), Status.FAIL, "no worker reads nlu.en.requests", "encoder_worker"),
        (GroupState("STABLE", 1, frozenset({1})), Status.FAIL, "nobody reads partition 0, 2 of", "logs"),
        (GroupState("RECONCILING", 1, frozenset({1, 2})), Status.WARN, "nobody reads partition 0 of", "ask again"),
    ],
)
def test_a_group(state: GroupState, status: Status, seen: str, advice: str) -> None:
    finding = judge_group(next(stage_groups(EN, [C0])), state, 3)
    assert finding.status is status
    assert seen in finding.seen
    assert advice in finding.advice
