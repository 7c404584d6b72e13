"""The head stage: whose heads are in memory, which one answers, and what else a sender is told."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from manyheads.head_worker import Head, HeadOutput, HeadStage, HeadStageOptions, residents
from manyheads.head_worker.training import TrainedHead, TrainingOptions, fit_head
from manyheads.infra.registry.snapshot import RegistrySnapshot
from manyheads.infra.stage.observer import StageObserver
from manyheads.infra.stage.work import Answer, Job, Outcome, Record, Stage
from manyheads.infra.store import ModelStore
from manyheads.infra.telemetry import Metrics
from manyheads.infra.telemetry.logs import JsonFormatter
from manyheads.topics.errors import ArtifactError, ErrorCode, ManyheadsError
from manyheads.topics.headers import Envelope, ReplyAddress
from manyheads.topics.messages import Embedding, Prediction, Reply, Truncation
from manyheads.topics.metrics import HEADS_BYTES, HEADS_LOADED
from manyheads.topics.names import cell, embeddings_topic, ring, tenant, version
from manyheads.topics.partitions import partition_of, tenant_key
from manyheads.topics.registry import ArtifactRef, HeadRecord, PlacementRecord, RegistryRecord, RingRecord
from tests.unit.head_worker.school import POOLED, SPACE, WORDS, embedding, lessons

RING, CELL = ring("en"), cell("c0")
TOPIC = embeddings_topic(RING, CELL)
TRANSIENT = embeddings_topic(RING, CELL, transient=True)
PARTITIONS = 8
GRACE_S, RETRY_S = 30.0, 15.0


class World:
    """A registry that can change, a store, a clock that the test moves, and the stage between them."""

    def __init__(self, folder: Path) -> None:
        self.snapshot = RegistrySnapshot([RingRecord(ring=RING, encoder=version("e1"), cells=(CELL,))])
        self.now = 0.0
        self.folder = folder
        self.store = ModelStore(str(folder))
        self.metrics = Metrics()
        options = HeadStageOptions(grace_s=GRACE_S, retry_s=RETRY_S)
        self.stage = HeadStage(
            RING, CELL, self, self.store, options, observer=StageObserver(self.metrics), clock=lambda: self.now
        )
        self.stage.assigned(TOPIC, range(PARTITIONS), PARTITIONS)

    def put(self, *records: RegistryRecord) -> None:
        for record in records:
            self.snapshot = self.snapshot.with_record(record)

    def register(self, name: str, head: str, model: bytes, view: str = str(WORDS)) -> HeadRecord:
        """A head of a tenant, in the store and in the registry."""
        record = HeadRecord.model_validate(
            {
                "ring": RING,
                "tenant": name,
                "version": head,
                "space": SPACE,
                "view": view,
                "artifact": self.store.put("head.onnx", model),
            }
        )
        self.put(record)
        return record

    def activate(self, name: str, head: str | None, **fields: object) -> None:
        placement = {"ring": RING, "tenant": name, "cell": CELL, "head": head} | fields
        self.put(PlacementRecord.model_validate(placement))

    def file_of(self, ref: ArtifactRef) -> Path:
        return self.store.fetch(ref)

    def ready(self) -> None:
        for _ in range(50):
            if self.stage.prepare(60.0):
                return
        raise AssertionError("the stage never got ready")

    def outcomes(self, *jobs: Job) -> list[Outcome]:
        found = dict(self.stage.process(jobs))
        assert sorted(found) == list(range(len(jobs)))
        return [found[index] for index in range(len(jobs))]

    def answer(self, name: str, embedded: Embedding | None = None) -> Prediction:
        return predicted(self.outcomes(job(name, embedded))[0])

    def error(self, name: str, embedded: Embedding | None = None) -> ManyheadsError:
        (outcome,) = self.outcomes(job(name, embedded))
        assert isinstance(outcome, ManyheadsError)
        return outcome

    def loaded(self) -> float:
        found = self.metrics.registry.get_sample_value(HEADS_LOADED.name, {"ring": RING, "cell": CELL})
        assert found is not None
        return found


def job(name: str, embedded: Embedding | None = None, key: bytes | None = None, value: bytes | None = None) -> Job:
    envelope = Envelope(tenant(name), ReplyAddress(b"id", "nlu.replies", 0))
    if value is None:
        value = (embedded or embedding("cancel my trip of monday")).to_bytes()
    return Job(
        Record(TOPIC, 0, 0, 0, name.encode() if key is None else key, value, envelope.to_headers()), envelope, 3.0
    )


def predicted(outcome: Outcome) -> Prediction:
    assert isinstance(outcome, Answer), outcome
    prediction = Reply.from_bytes(outcome.value).prediction
    assert prediction is not None
    return prediction


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="session")
def second() -> TrainedHead:
    """Another head of the same tenant."""
    return fit_head(lessons(70, seed=5), TrainingOptions(seed=5))


def test_it_is_a_stage(world: World) -> None:
    stage: Stage = world.stage
    assert stage.name == "head"
    assert stage.prepare(0.0)


def test_an_answer_carries_versions_timings_and_truncation(world: World, tagged: TrainedHead) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.ready()
    cut = embedding("cancel my trip of monday").model_copy(update={"truncation": Truncation(tokens=300, kept=250)})
    prediction = world.answer("acme", cut)
    assert prediction.intents[0].name == "cancel"
    assert [entity.label for entity in prediction.entities] == ["day"]
    assert (prediction.versions.head, prediction.versions.encoder, prediction.versions.space) == ("h1", "e1", SPACE)
    assert prediction.timings.encoder.queue_ms == 1.0
    assert prediction.timings.head.queue_ms == 3.0
    assert prediction.truncation == Truncation(tokens=300, kept=250)


def test_each_tenant_is_answered_by_its_own_head(world: World, tagged: TrainedHead, plain: TrainedHead) -> None:
    world.register("acme", "h1", tagged.model)
    world.register("bolt", "b7", plain.model, str(POOLED))
    for name, head in (("acme", "h1"), ("bolt", "b7")):
        world.activate(name, head)
    world.ready()
    text = "will it rain in Lima today?"
    jobs = [job("bolt", embedding(text, POOLED)), job("acme", embedding(text)), job("bolt", embedding(text, POOLED))]
    predictions = [predicted(outcome) for outcome in world.outcomes(*jobs)]
    assert [prediction.versions.head for prediction in predictions] == ["b7", "h1", "b7"]
    assert predictions[0].model_copy(update={"timings": None}) == predictions[2].model_copy(update={"timings": None})
    assert world.loaded() == 2
    size = world.metrics.registry.get_sample_value(HEADS_BYTES.name, {"ring": RING, "cell": CELL})
    assert size == len(tagged.model) + len(plain.model)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (job("acme", key=b"bolt"), ErrorCode.TENANT_MISMATCH),
        (job("acme", key=b""), ErrorCode.TENANT_MISMATCH),
        (job("acme", key=b"acme-2"), ErrorCode.TENANT_MISMATCH),
        (job("acme", value=b"\x93\x01"), ErrorCode.MALFORMED_MESSAGE),
        (job("acme", embedding("hello there", POOLED)), ErrorCode.SPACE_MISMATCH),
        (job("nobody"), ErrorCode.UNKNOWN_TENANT),
        (job("idle"), ErrorCode.NO_ACTIVE_HEAD),
        (job("lost"), ErrorCode.NO_ACTIVE_HEAD),
    ],
)
def test_a_bad_record_gets_its_error_and_harms_no_other(
    world: World, tagged: TrainedHead, bad: Job, code: ErrorCode
) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.activate("idle", None)
    world.activate("lost", "h9")
    world.ready()
    before, failed, after = world.outcomes(job("acme"), bad, job("acme"))
    assert isinstance(failed, ManyheadsError)
    assert failed.code is code
    assert predicted(before).intents == predicted(after).intents


def test_every_key_of_a_spread_tenant_is_its_own(world: World, tagged: TrainedHead) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1", spread=4)
    world.ready()
    keys = {tenant_key(tenant("acme"), 4, bytes([i])) for i in range(50)}
    assert len(keys) == 4
    assert all(isinstance(outcome, Answer) for outcome in world.outcomes(*[job("acme", key=key) for key in keys]))


def test_no_head_is_read_from_the_store_on_the_request_path(world: World, tagged: TrainedHead) -> None:
    record = world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.ready()
    world.file_of(record.artifact).unlink()
    assert world.answer("acme").versions.head == "h1"


def _partitions_of(names: Sequence[str]) -> set[int]:
    return {partition_of(name.encode(), PARTITIONS) for name in names}


def test_only_the_heads_of_its_partitions_are_loaded(world: World, tagged: TrainedHead) -> None:
    names = [f"t{i}" for i in range(12)]
    for name in names:
        world.register(name, "h1", tagged.model)
        world.activate(name, "h1")
    world.activate("t0", "h1", cell="c1")
    mine = sorted(_partitions_of(names))[:2]
    world.stage.revoked(TOPIC, [partition for partition in range(PARTITIONS) if partition not in mine])
    world.ready()
    assert world.loaded() == sum(partition_of(name.encode(), PARTITIONS) in mine for name in names[1:])
    world.stage.revoked(TOPIC, mine)
    assert world.loaded() == 0


def test_both_lanes_keep_a_head(world: World, tagged: TrainedHead) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.stage.assigned(f"{TOPIC}.batch", range(PARTITIONS), PARTITIONS)
    world.ready()
    world.stage.revoked(TOPIC, range(PARTITIONS))
    assert world.loaded() == 1
    world.stage.revoked(f"{TOPIC}.batch", range(PARTITIONS))
    assert world.loaded() == 0


def test_a_head_is_loaded_where_its_tenants_embeddings_go(world: World, tagged: TrainedHead) -> None:
    """Two workers may have the same partition of the retained and of the transient topic."""
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1", transient=True)
    world.ready()
    assert world.loaded() == 0
    world.stage.assigned(TRANSIENT, range(PARTITIONS), PARTITIONS)
    world.ready()
    assert world.loaded() == 1
    world.activate("acme", "h1")
    world.ready()
    world.stage.revoked(TRANSIENT, range(PARTITIONS))
    world.ready()
    assert world.loaded() == 1


def test_what_was_encoded_before_its_tenant_opted_out_is_answered(world: World, tagged: TrainedHead) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.ready()
    world.activate("acme", "h1", transient=True)
    world.ready()
    world.now += GRACE_S / 2
    world.ready()
    assert world.loaded() == 1
    assert world.answer("acme").versions.head == "h1"


def test_preparing_stops_when_its_budget_is_spent(world: World, tagged: TrainedHead) -> None:
    for i in range(3):
        world.register(f"t{i}", "h1", tagged.model)
        world.activate(f"t{i}", "h1")
    assert [world.stage.prepare(0.0) for _ in range(3)] == [False, False, True]
    assert world.loaded() == 3


def test_a_store_that_fails_slowly_holds_up_nobody(
    world: World, tagged: TrainedHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("good", "t0", "t1", "t2", "t3"):
        world.register(name, "h1", tagged.model)
        world.activate(name, "h1")
    fetch = world.store.fetch
    tries: list[ArtifactRef] = []

    def slow(ref: ArtifactRef) -> Path:
        tries.append(ref)
        if len(tries) == 1:
            return fetch(ref)
        world.now += RETRY_S / 2
        raise ArtifactError(ErrorCode.ARTIFACT_MISSING, "the store does not answer")

    monkeypatch.setattr(world.store, "fetch", slow)
    assert [world.stage.prepare(0.0) for _ in range(5)] == [False, False, False, False, True]
    assert world.loaded() == 1
    began = world.now
    for _ in range(200):
        world.now += 1.0
        assert world.stage.prepare(0.0), "what is looked for again holds up nothing"
    spent = (len(tries) - 5) * RETRY_S / 2
    assert 0 < spent < (world.now - began) / 2


def test_a_head_is_swapped_whole(world: World, tagged: TrainedHead, second: TrainedHead) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.ready()
    world.register("acme", "h2", second.model)
    world.activate("acme", "h2")
    assert world.answer("acme").versions.head == "h1", "until the next is loaded the one before answers"
    world.ready()
    assert world.answer("acme").versions.head == "h2"
    world.now += GRACE_S + 1
    world.ready()
    assert world.loaded() == 1


def test_what_was_encoded_for_the_head_before_is_answered_by_it(
    world: World, tagged: TrainedHead, plain: TrainedHead
) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.ready()
    world.register("acme", "h2", plain.model, str(POOLED))
    world.activate("acme", "h2")
    world.ready()
    text = "cancel my trip of today"
    assert world.answer("acme", embedding(text)).versions.head == "h1"
    assert world.answer("acme", embedding(text, POOLED)).versions.head == "h2"
    # As long as such requests arrive the head before stays; then it goes.
    world.now += GRACE_S - 1
    assert world.answer("acme", embedding(text)).versions.head == "h1"
    world.now += GRACE_S - 1
    world.ready()
    assert world.answer("acme", embedding(text)).versions.head == "h1"
    world.now += GRACE_S + 1
    world.ready()
    assert world.loaded() == 1


def test_what_was_encoded_for_a_head_that_is_active_in_a_moment_is_answered_by_it(
    world: World, tagged: TrainedHead, plain: TrainedHead
) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.ready()
    world.register("acme", "h2", plain.model, str(POOLED))
    assert world.answer("acme", embedding("cancel my trip of today", POOLED)).versions.head == "h2"
    assert world.answer("acme").versions.head == "h1"


def test_a_view_that_no_head_or_several_could_mean_may_be_sent_again(
    world: World, tagged: TrainedHead, plain: TrainedHead
) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.ready()
    pooled = embedding("cancel my trip of today", POOLED)
    assert "send the request again" in world.error("acme", pooled).message
    for head in ("h2", "h3"):
        world.register("acme", head, plain.model, str(POOLED))
    assert world.error("acme", pooled).code is ErrorCode.SPACE_MISMATCH


def test_a_tenant_placed_a_moment_ago_is_answered(world: World, tagged: TrainedHead) -> None:
    world.ready()
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    assert world.answer("acme").versions.head == "h1"


def test_a_tenant_that_moves_to_another_cell_is_answered_for_the_grace_period(
    world: World, tagged: TrainedHead
) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.ready()
    world.activate("acme", "h1", cell="c1")
    world.ready()
    assert world.loaded() == 1
    assert world.answer("acme").versions.head == "h1"
    world.now += GRACE_S + 1
    world.ready()
    assert world.loaded() == 0


def test_a_broken_file_is_its_own_tenants_trouble(world: World, tagged: TrainedHead) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.register("broken", "h1", tagged.model[:-100])
    world.activate("broken", "h1")
    world.ready()
    assert world.error("broken").code is ErrorCode.ARTIFACT_CORRUPT
    assert world.answer("acme").versions.head == "h1"
    world.register("broken", "h1", tagged.model)
    world.ready()
    assert world.answer("broken").versions.head == "h1"


class _Failing(Head):
    """A head that knows no entities answers one text, and then fails as no head should."""

    def predict(self, embeddings: Sequence[Embedding]) -> Iterator[tuple[int, HeadOutput | ManyheadsError]]:
        for index, output in super().predict(embeddings):
            yield index, output
            if self.card.tagger is None:
                raise ValueError("what it says may quote the text")


def test_a_head_that_fails_fails_its_own_requests(
    world: World,
    tagged: TrainedHead,
    plain: TrainedHead,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(residents, "Head", _Failing)
    world.register("acme", "h1", tagged.model)
    world.register("bolt", "b7", plain.model, str(POOLED))
    for name, head in (("acme", "h1"), ("bolt", "b7")):
        world.activate(name, head)
    world.ready()
    bad = job("bolt", embedding("cancel my trip", POOLED))
    with caplog.at_level(logging.ERROR):
        first, *failed, last = world.outcomes(bad, bad, bad, job("acme"))
    assert (predicted(first).versions.head, predicted(last).versions.head) == ("b7", "h1")
    assert [outcome.code for outcome in failed if isinstance(outcome, ManyheadsError)] == [ErrorCode.INTERNAL] * 2
    (line,) = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert (line["event"], line["tenant"], line["head"], line["jobs"]) == ("head_failed", "bolt", "b7", 2)
    assert "in predict" in line["at"]
    assert "quote" not in str(line)


def test_a_file_that_makes_a_library_raise_ends_no_worker(world: World, tagged: TrainedHead, misnamed: bytes) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.register("broken", "h1", misnamed)
    world.activate("broken", "h1")
    world.ready()
    assert world.error("broken").code is ErrorCode.ARTIFACT_CORRUPT
    assert world.answer("acme").versions.head == "h1"


def test_a_head_registered_for_another_view_than_its_own_is_refused(world: World, tagged: TrainedHead) -> None:
    world.register("acme", "h1", tagged.model, str(POOLED))
    world.activate("acme", "h1")
    world.ready()
    error = world.error("acme", embedding("cancel my trip", POOLED))
    assert error.code is ErrorCode.SPACE_MISMATCH
    assert error.details["head_view"] == str(WORDS)


def test_a_missing_file_is_looked_for_again(world: World, tagged: TrainedHead) -> None:
    record = world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.file_of(record.artifact).unlink()
    world.ready()
    assert world.error("acme").code is ErrorCode.ARTIFACT_MISSING
    world.store.put("head.onnx", tagged.model)
    assert world.error("acme").code is ErrorCode.ARTIFACT_MISSING
    world.now += RETRY_S
    world.ready()
    assert world.answer("acme").versions.head == "h1"


def test_the_head_before_a_broken_one_goes_on_answering(world: World, tagged: TrainedHead) -> None:
    world.register("acme", "h1", tagged.model)
    world.activate("acme", "h1")
    world.ready()
    world.register("acme", "h2", b"no head")
    world.activate("acme", "h2")
    world.ready()
    world.now += 2 * GRACE_S
    world.ready()
    assert world.answer("acme").versions.head == "h1"
