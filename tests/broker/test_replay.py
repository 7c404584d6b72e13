"""Replay over a whole pipeline: what it says against what was answered, and against a direct computation."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient

from manyheads.cli.moments import shown
from manyheads.cli.replay import ReplayRequest, replay
from manyheads.cli.replay_report import ReplayReport, show_report
from manyheads.head_worker import Head
from manyheads.head_worker.replay import Said
from manyheads.head_worker.replay.comparison import Entity
from manyheads.head_worker.training import LabelledEmbedding, fit_head
from manyheads.infra.kafka.history import History
from manyheads.producers import Answer, Client
from manyheads.topics.errors import ErrorCode, InvalidRequest, ManyheadsError, RoutingError
from manyheads.topics.names import Lane, TenantName, embeddings_topic, tenant
from manyheads.topics.partitions import partition_of
from manyheads.topics.registry import PlacementRecord
from manyheads.topics.views import View
from tests.broker.pipelines import C0, EN, SHOP, Pipelines

TEXTS = [example.text for example in SHOP.held_out]


def placed(pipelines: Pipelines, name: str, *, spread: int = 1) -> TenantName:
    """A tenant of the test's own with SHOP's head."""
    who = tenant(name)
    head = pipelines.heads["en"].model_copy(update={"tenant": who})
    placement = PlacementRecord(ring=EN, tenant=who, cell=C0, head=head.version, spread=spread)
    pipelines.en.registrar.writer.put(head, placement)
    return who


async def asked(
    pipelines: Pipelines, who: TenantName, texts: Sequence[str], lane: Lane = Lane.INTERACTIVE
) -> list[Answer]:
    """The answers, once the workers know the tenant."""
    async with Client(pipelines.stack.settings, lane=lane) as client, asyncio.timeout(60):
        while True:
            try:
                first = await client.predict(who, texts[0], timeout=30)
                break
            except RoutingError:
                continue  # their registry is a moment behind
        return [first, *await asyncio.gather(*(client.predict(who, text, timeout=30) for text in texts[1:]))]


def replayed(
    pipelines: Pipelines,
    who: str,
    head: str,
    *,
    since: str = "1h",
    until: str | None = None,
    limit: int | None = None,
    examples: int = 10,
) -> ReplayReport:
    request = ReplayRequest(who, head, EN, since, until, limit, examples)
    return replay(request, pipelines.stack.settings, pipelines.stack.store)


async def test_the_head_that_answered_agrees_with_itself(pipelines: Pipelines) -> None:
    who = placed(pipelines, "replay-same", spread=3)
    answers = await asked(pipelines, who, TEXTS)
    report = replayed(pipelines, who, pipelines.heads["en"].version)
    coverage, found = report.coverage, report.comparison
    assert coverage.compared == found.compared == found.same_answer == len(TEXTS)
    assert coverage.without_reply == coverage.copies == coverage.unread.total() == 0
    assert coverage.answered_by == {pipelines.heads["en"].version: len(TEXTS)}
    assert found.confidence_moved == 0
    assert found.examples == ()
    intents = Counter(answer.intent.name for answer in answers)
    assert {(each.before, each.after): each.count for each in found.intents} == {
        (name, name): count for name, count in intents.items()
    }


def another_head(pipelines: Pipelines, view: View) -> bytes:
    """A head for the same intents and the same view, of half the examples, that knows no entities."""
    half = SHOP.train[::2]
    examples = zip(pipelines.en.teacher.embed(half, view), half, strict=True)
    return fit_head([LabelledEmbedding(embedding, each.intent) for embedding, each in examples]).model


async def test_another_head_differs_as_a_direct_computation_says(pipelines: Pipelines, tmp_path: Path) -> None:
    who = placed(pipelines, "replay-other")
    answers = await asked(pipelines, who, TEXTS)
    view = pipelines.heads["en"].view
    model = another_head(pipelines, view)
    (tmp_path / "head.onnx").write_bytes(model)
    report = replayed(pipelines, who, str(tmp_path), examples=1_000)

    head = Head.load(model)
    before = [
        Said(
            answer.intent.name,
            answer.intent.confidence,
            frozenset(Entity(each.label, each.start, each.end) for each in answer.entities),
        )
        for answer in answers
    ]
    after = [Said.of(head.answer(embedding)) for embedding in pipelines.en.teacher.embed(SHOP.held_out, view)]
    confusion = Counter((then.intent, now.intent) for then, now in zip(before, after, strict=True))
    found = report.comparison
    assert {(each.before, each.after): each.count for each in found.intents} == confusion
    assert 0 < found.same_intent < found.compared  # else the two heads prove nothing
    assert {each.label: each.lost for each in found.labels} == Counter(
        entity.label for then in before for entity in then.entities
    )
    assert len(found.examples) == found.compared - found.same_answer
    assert all(example.place.topic == embeddings_topic(EN, C0) for example in found.examples)


async def test_an_embedding_of_another_view_is_counted(pipelines: Pipelines) -> None:
    who = placed(pipelines, "replay-view")
    await asked(pipelines, who, TEXTS[:3])
    head, plain = pipelines.heads["en"], pipelines.heads["plain"]
    assert head.view != plain.view
    report = replayed(pipelines, who, str(pipelines.stack.store.fetch(plain.artifact)))
    assert report.coverage.other == {f"{head.view} of {head.space}": 3}
    assert report.coverage.unread == {ErrorCode.SPACE_MISMATCH: 3}
    assert report.comparison.compared == 0


async def test_embeddings_of_another_space_are_counted(pipelines: Pipelines) -> None:
    who = placed(pipelines, "replay-space")
    await asked(pipelines, who, TEXTS[:3])
    foreign = str(pipelines.stack.store.fetch(pipelines.heads["fr"].artifact))
    assert replayed(pipelines, who, foreign).coverage.unread == {ErrorCode.SPACE_MISMATCH: 3}


async def test_no_more_than_the_limit_and_the_span_of_time(pipelines: Pipelines) -> None:
    who = placed(pipelines, "replay-limit")
    await asked(pipelines, who, TEXTS[:5])
    head = pipelines.heads["en"].version
    assert replayed(pipelines, who, head, limit=2).coverage.embeddings == 2
    assert replayed(pipelines, who, head, until="30m").coverage.embeddings == 0
    with pytest.raises(InvalidRequest):
        replayed(pipelines, who, head, since="30m", until="1h")


async def test_a_span_that_begins_before_1970_has_all_there_is(pipelines: Pipelines) -> None:
    who = placed(pipelines, "replay-old")
    await asked(pipelines, who, TEXTS[:2])
    head = pipelines.heads["en"].version
    assert [replayed(pipelines, who, head, since=since).coverage.compared for since in ("99999d", "1969-12-31")] == [
        2,
        2,
    ]


def delete_before(pipelines: Pipelines, topic: str, partition: int, offset: int) -> None:
    """As retention does; -1: all that there is."""
    admin = AdminClient({**pipelines.stack.settings.confluent()})
    for future in admin.delete_records([Position(topic, partition, offset)]).values():
        future.result(30)


async def test_a_lane_that_was_emptied_long_ago_hides_nothing(
    pipelines: Pipelines, capsys: pytest.CaptureFixture[str]
) -> None:
    who = placed(pipelines, "replay-emptied")
    await asked(pipelines, who, TEXTS[:1], Lane.BATCH)
    await asked(pipelines, who, TEXTS[:3])
    topic = embeddings_topic(EN, C0, Lane.BATCH)
    with History(pipelines.stack.settings) as history:
        partition = partition_of(who.encode(), history.partitions(topic))
    delete_before(pipelines, topic, partition, -1)
    report = replayed(pipelines, who, pipelines.heads["en"].version)
    assert report.coverage.embeddings == 3
    assert (report.window.kept_since_ms, report.window.emptied) == (None, (topic,))
    show_report(report, as_json=False)
    told = " ".join(capsys.readouterr().out.split())
    assert f"nothing of this span is kept in a partition of {topic}: retention may have deleted" in told


async def test_from_when_on_nothing_is_missing_is_told(
    pipelines: Pipelines, capsys: pytest.CaptureFixture[str]
) -> None:
    who = placed(pipelines, "replay-cut")
    head = pipelines.heads["en"].version
    await asked(pipelines, who, TEXTS[:3])
    topic = embeddings_topic(EN, C0)
    with History(pipelines.stack.settings) as history:
        partition = partition_of(who.encode(), history.partitions(topic))
        stretches = history.stretches(topic, [partition], 0)
        mine = [each for portion in history.read(stretches, {who.encode()}) for each in portion.records]
    delete_before(pipelines, topic, partition, mine[1].offset)
    report = replayed(pipelines, who, head)
    assert report.coverage.embeddings == 2
    first_ms = mine[1].timestamp_ms
    assert (report.window.kept_since_ms, report.window.emptied) == (first_ms, ())
    show_report(report, as_json=False)
    assert f"retention may have deleted some of what was before {shown(first_ms)}" in capsys.readouterr().out
    # A span that begins with the first record that is left lacks nothing.
    since = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=first_ms)
    assert replayed(pipelines, who, head, since=since.isoformat()).window.kept_since_ms is None


async def test_nothing_is_written(pipelines: Pipelines) -> None:
    who = placed(pipelines, "replay-reads")
    await asked(pipelines, who, TEXTS[:2])
    with History(pipelines.stack.settings) as history:
        topic = embeddings_topic(EN, C0)

        def ends() -> list[int]:
            return [each.end for each in history.stretches(topic, range(history.partitions(topic)), 0)]

        before = ends()
        replayed(pipelines, who, pipelines.heads["en"].version)
        assert ends() == before


@pytest.mark.parametrize(
    ("who", "head", "code"),
    [
        (SHOP.tenant, "no-such-version", ErrorCode.NO_ACTIVE_HEAD),
        (SHOP.tenant, "no/such/file", ErrorCode.ARTIFACT_MISSING),
        ("nobody", "any", ErrorCode.UNKNOWN_TENANT),
    ],
)
async def test_what_is_not_there(pipelines: Pipelines, who: str, head: str, code: ErrorCode) -> None:
    with pytest.raises(ManyheadsError) as caught:
        replayed(pipelines, who, head)
    assert caught.value.code is code
