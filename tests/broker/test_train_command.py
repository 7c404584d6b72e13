"""``train`` and ``activate`` against a registry that others change meanwhile, and files that are wrong somewhere."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from manyheads.cli.catalogue import read_registry, run_activate
from manyheads.cli.demo.utterances import Examples
from manyheads.cli.ring_setup import RingSetup
from manyheads.cli.teaching import Lesson, Teacher
from manyheads.cli.tenants import run_delete, run_retention
from manyheads.cli.train import TrainOptions, run_train
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.registry import RegistrySnapshot
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store import ModelStore
from manyheads.topics.catalogue import ring_topics
from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidRequest, RoutingError
from manyheads.topics.names import CellName, RingName, TenantName, ring, tenant, version
from manyheads.topics.registry import HeadRecord, PlacementRecord
from tests.broker.pipelines import C0, C1, small_random
from tests.conftest import TEST_PARTITIONS

RING = ring("train-command")


@dataclass(frozen=True)
class School:
    """A ring with a small encoder and two cells on the run's Kafka, and no workers."""

    settings: KafkaSettings
    store: ModelStore
    admin: TopicAdmin

    def create_topics(self, ring: RingName, cells: tuple[CellName, ...]) -> None:
        self.admin.ensure(ring_topics(ring, cells, TEST_PARTITIONS))

    @property
    def registry(self) -> RegistrySnapshot:
        return read_registry(self.settings)

    def placement(self, who: TenantName) -> PlacementRecord | None:
        return self.registry.placement(RING, who)

    def heads(self, who: TenantName) -> list[HeadRecord]:
        return [head for head in self.registry.heads(RING) if head.tenant == who]

    def train(self, options: TrainOptions) -> None:
        run_train(options, self.settings.bootstrap_servers, self.store.url)

    def opt_out(self, who: TenantName) -> None:
        run_retention(who, RING, self.settings.bootstrap_servers, transient=True)

    def delete(self, who: TenantName) -> None:
        run_delete(who, RING, self.settings.bootstrap_servers, self.store.url, confirmed=True)

    def activate(self, who: TenantName, head: str) -> None:
        run_activate(who, head, RING, self.settings.bootstrap_servers)


@pytest.fixture(scope="module")
def setup(
    kafka_settings: KafkaSettings, topic_admin: TopicAdmin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RingSetup]:
    school = School(kafka_settings, ModelStore(str(tmp_path_factory.mktemp("store"))), topic_admin)
    with RingSetup(school, RING, (C0, C1)) as setup:
        setup.install(small_random)
        yield setup
    topic_admin.delete([spec.name for spec in ring_topics(RING, (C0, C1))])


@pytest.fixture
def school(kafka_settings: KafkaSettings, topic_admin: TopicAdmin, setup: RingSetup) -> School:
    return School(kafka_settings, setup.registrar.store, topic_admin)


@pytest.fixture
def options(request: pytest.FixtureRequest, tmp_path: Path) -> TrainOptions:
    """For a tenant of the test's own, who is new, with examples of its own, so that nobody shares its file."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[-40:].strip("-")
    return TrainOptions(name, examples_file(tmp_path, name), RING, None, activate=True)


def examples_file(folder: Path, name: str, *lines: str, encoding: str = "utf-8") -> Path:
    """Four utterances, and what is said."""
    texts = [("a ball", "buy"), (f"a kite for {name}", "buy"), ("it broke", "return"), ("take it back", "return")]
    good = [json.dumps({"text": text, "intent": intent}) for text, intent in texts]
    path = folder / "examples.jsonl"
    path.write_text("\n".join([*good, *lines]), encoding=encoding)
    return path


def during_the_training(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """The training is a real one; this happens before it ends."""
    teach = Teacher.teach

    def taught(teacher: Teacher, who: TenantName, examples: Examples) -> Lesson:
        lesson = teach(teacher, who, examples)
        happens()
        return lesson

    monkeypatch.setattr(Teacher, "teach", taught)


@pytest.mark.parametrize("cell", [None, C1])
def test_what_others_change_during_the_training_stays(
    school: School, setup: RingSetup, options: TrainOptions, monkeypatch: pytest.MonkeyPatch, cell: CellName | None
) -> None:
    who = tenant(options.tenant)
    school.train(options)
    (old,) = school.heads(who)

    def opts_out_and_is_spread() -> None:
        school.opt_out(who)
        placement = school.placement(who)
        assert placement is not None
        setup.registrar.writer.put(placement.model_copy(update={"spread": 3, "head": None}))

    during_the_training(monkeypatch, opts_out_and_is_spread)
    school.train(replace(options, cell=cell))
    expected = {"cell": cell or C0, "head": old.version, "spread": 3, "transient": True}
    assert school.placement(who) == PlacementRecord.model_validate({"ring": RING, "tenant": who, **expected})


def test_a_tenant_that_was_moved_during_the_training_stays_there(
    school: School, setup: RingSetup, options: TrainOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = tenant(options.tenant)
    present = PlacementRecord(ring=RING, tenant=who, cell=C0)
    setup.registrar.writer.put(present)
    during_the_training(monkeypatch, lambda: setup.registrar.writer.put(present.model_copy(update={"cell": C1})))
    school.train(options)
    (head,) = school.heads(who)
    assert school.placement(who) == present.model_copy(update={"cell": C1, "head": head.version})


@pytest.mark.parametrize("active", [True, False], ids=["placed", "only-registered"])
@pytest.mark.parametrize("activate", [True, False], ids=["activate", "register"])
def test_a_tenant_that_was_deleted_during_the_training_does_not_come_back(
    school: School, options: TrainOptions, monkeypatch: pytest.MonkeyPatch, active: bool, activate: bool
) -> None:
    who = tenant(options.tenant)
    school.train(replace(options, activate=active))
    (old,) = school.heads(who)
    during_the_training(monkeypatch, lambda: school.delete(who))
    with pytest.raises(RoutingError, match="was deleted from ring") as caught:
        school.train(replace(options, activate=activate))
    assert caught.value.code is ErrorCode.UNKNOWN_TENANT
    assert school.placement(who) is None
    assert school.heads(who) == []
    with pytest.raises(ArtifactError):  # the same examples give the same file, which nobody names any more
        school.store.fetch(old.artifact)


def test_a_head_of_a_new_tenant_that_is_only_registered_is_activated_as_advised(
    school: School, options: TrainOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    who = tenant(options.tenant)
    school.train(replace(options, activate=False))
    advice = re.search(r"manyheads activate (\S+) (\S+) --ring (\S+)", capsys.readouterr().out)
    assert advice is not None
    assert (advice[1], advice[3]) == (who, RING)
    school.activate(who, advice[2])
    assert school.placement(who) == PlacementRecord(ring=RING, tenant=who, cell=C0, head=version(advice[2]))


def test_a_head_is_written_to_a_folder_that_is_made(school: School, options: TrainOptions, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "new" / "one"
    school.train(replace(options, out=folder))
    assert [file.name for file in folder.iterdir()] == ["head.onnx"]
    assert school.heads(tenant(options.tenant)) == []


def test_where_no_head_can_be_written_is_told_before_the_training(
    school: School, options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "head.onnx").touch()
    during_the_training(monkeypatch, lambda: pytest.fail("it was trained"))
    # /proc takes no folder from anybody, root included.
    for out in (tmp_path / "head.onnx", tmp_path / "head.onnx" / "below", Path("/proc"), Path("/proc/new")):
        with pytest.raises(InvalidRequest, match="cannot be written there") as caught:
            school.train(replace(options, out=out))
        assert caught.value.message.startswith(f"--out {out}: ")


def test_a_head_that_cannot_be_written_at_the_end_is_told(
    school: School, options: TrainOptions, tmp_path: Path
) -> None:
    (tmp_path / "head.onnx").mkdir()
    with pytest.raises(InvalidRequest, match="Is a directory"):
        school.train(replace(options, out=tmp_path))


@pytest.mark.parametrize(
    ("text", "entities", "says"),
    [
        ("\u200b", [], "the text's 1 characters are all invisible"),
        ("a  ball", [{"start": 1, "end": 2, "label": "toy"}], "'toy' at 1 to 2 covers no word"),
    ],
)
def test_what_only_the_training_finds_has_its_file_and_line(
    school: School, options: TrainOptions, text: str, entities: Sequence[object], says: str
) -> None:
    bad = json.dumps({"text": text, "intent": "buy", "entities": entities})
    path = examples_file(options.examples.parent, options.tenant, "", bad)
    with pytest.raises(InvalidRequest) as caught:
        school.train(options)
    assert caught.value.message.startswith(f"{path}:6: {says}")


def test_a_file_from_windows_is_trained_on(school: School, options: TrainOptions) -> None:
    examples_file(options.examples.parent, options.tenant, encoding="utf-8-sig")
    school.train(options)
    assert school.placement(tenant(options.tenant)) is not None
