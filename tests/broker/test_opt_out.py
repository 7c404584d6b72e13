"""A tenant that opts out of retention, and one that is deleted: over a whole pipeline, and what Kafka keeps of them."""

import asyncio
import errno
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer
from fsspec.implementations.local import LocalFileSystem

from manyheads.cli.catalogue import read_registry
from manyheads.cli.tenants import run_delete, run_retention
from manyheads.infra.admin import TopicAdmin
from manyheads.infra.kafka.history import History
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.store import ModelStore
from manyheads.producers import Client
from manyheads.topics.catalogue import ring_topics
from manyheads.topics.errors import ArtifactError, ErrorCode, InvalidRequest, RoutingError
from manyheads.topics.names import CellName, Lane, RingName, TenantName, embeddings_topic, tenant
from manyheads.topics.partitions import tenant_keys
from manyheads.topics.registry import HeadRecord, PlacementRecord, placement_key
from tests.broker.pipelines import C0, C1, EN, SHOP, Pipelines
from tests.broker.test_replay import asked, placed, replayed

TEXTS = [example.text for example in SHOP.held_out]
PATIENCE_S = 60.0


def kept(settings: KafkaSettings, topic: str, who: TenantName) -> int:
    """Records of the tenant in a topic."""
    with History(settings) as history:
        stretches = history.stretches(topic, range(history.partitions(topic)), 0)
        return sum(len(portion.records) for portion in history.read(stretches, tenant_keys(who, 3)))


@pytest.mark.parametrize("lane", Lane)
async def test_a_tenant_that_opted_out_is_answered_and_not_retained(pipelines: Pipelines, lane: Lane) -> None:
    who = tenant(f"opted-out-{lane}")
    head = pipelines.heads["en"].model_copy(update={"tenant": who})
    placement = PlacementRecord(ring=EN, tenant=who, cell=C0, head=head.version, spread=3, transient=True)
    pipelines.en.registrar.writer.put(head, placement)
    await asked(pipelines, who, TEXTS, lane)
    settings = pipelines.stack.settings
    assert kept(settings, embeddings_topic(EN, C0, lane), who) == 0
    assert kept(settings, embeddings_topic(EN, C0, lane, transient=True), who) == len(TEXTS)
    report = replayed(pipelines, who, head.version)
    assert report.transient
    assert report.coverage.embeddings == 0


async def test_no_request_is_lost_while_a_tenant_opts_out_and_in_again(pipelines: Pipelines) -> None:
    who, settings = placed(pipelines, "changes-its-mind"), pipelines.stack.settings
    retained, transient = (embeddings_topic(EN, C0, transient=each) for each in (False, True))
    await asked(pipelines, who, TEXTS[:1])
    answered = 0

    async def until_in(topic: str, client: Client) -> None:
        nonlocal answered
        before = kept(settings, topic, who)
        while kept(settings, topic, who) == before:
            answers = await asyncio.gather(*(client.predict(who, text, timeout=30) for text in TEXTS[:8]))
            answered += len(answers)

    async with Client(settings) as client, asyncio.timeout(PATIENCE_S):
        for opts_out, topic in ((True, transient), (False, retained)):
            run_retention(who, EN, settings.bootstrap_servers, transient=opts_out)
            await until_in(topic, client)
    assert kept(settings, retained, who) + kept(settings, transient, who) == answered + 1


def test_kafka_empties_a_transient_topic(
    kafka_settings: KafkaSettings, topic_admin: TopicAdmin, ring_with_topics: tuple[RingName, CellName]
) -> None:
    """With the catalogue's settings, but for times that a test can wait for."""
    topic = embeddings_topic(*ring_with_topics, transient=True)
    (spec,) = (spec for spec in ring_topics(ring_with_topics[0], [ring_with_topics[1]]) if spec.name == topic)
    short = {"retention.ms": "1000", "segment.ms": "500"}
    topic_admin.ensure([replace(spec, partitions=1, settings=spec.settings | short)])
    producer = Producer({**kafka_settings.confluent()})
    for _ in range(10):
        # The broker's time counts: one that a clock far ahead gave would keep the record for a day.
        producer.produce(topic, b"embedding", b"acme", 0, timestamp=(time.time_ns() // 1_000_000) + 86_400_000)
    assert producer.flush(PATIENCE_S) == 0
    with History(kafka_settings) as history:

        def emptied() -> bool:
            (whole,) = history.stretches(topic, [0], 0)
            return whole.end == 10 and whole.records == 0

        wait_until(emptied)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)


async def test_a_deleted_tenant_is_gone(pipelines: Pipelines, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own file goes, one that it shares stays, others are answered as before."""
    settings, store = pipelines.stack.settings, pipelines.stack.store
    who = placed(pipelines, "to-be-deleted")  # with the file that SHOP's head has
    model = store.fetch(pipelines.heads["en"].artifact).read_bytes()
    own = pipelines.heads["en"].model_copy(
        update={"tenant": who, "version": "own", "artifact": store.put("head.onnx", model + b"\x0a\x00")}
    )
    pipelines.en.registrar.writer.put(own)
    await asked(pipelines, who, TEXTS[:2])

    with pytest.raises(InvalidRequest, match="--yes"):
        run_delete(who, EN, settings.bootstrap_servers, store.url, confirmed=False)
    run_delete(who, EN, settings.bootstrap_servers, store.url, confirmed=True)
    told = capsys.readouterr().out
    assert "2 heads and 1 files (1 that others use stay)" in told
    assert embeddings_topic(EN, C0) in told
    snapshot = read_registry(settings)
    assert snapshot.placement(EN, who) is None
    assert not [head for head in snapshot.heads(EN) if head.tenant == who]
    with pytest.raises(ArtifactError):
        store.fetch(own.artifact)
    store.fetch(pipelines.heads["en"].artifact)
    async with Client(settings) as client, asyncio.timeout(PATIENCE_S):
        await client.predict(SHOP.tenant, TEXTS[0], timeout=30)
        with pytest.raises(RoutingError) as caught:
            await asked_for_ever(client, who)  # until the workers have seen it
    assert caught.value.code is ErrorCode.UNKNOWN_TENANT


def owner(pipelines: Pipelines, name: str, content: bytes) -> HeadRecord:
    """The head of a tenant of the test's own, whose file nobody shares."""
    head = pipelines.heads["en"].model_copy(
        update={"tenant": tenant(name), "artifact": pipelines.stack.store.put("head.onnx", content)}
    )
    placement = PlacementRecord(ring=EN, tenant=head.tenant, cell=C0, head=head.version)
    pipelines.en.registrar.writer.put(head, placement)
    return head


def delete(pipelines: Pipelines, head: HeadRecord, store: ModelStore | None = None) -> None:
    url = (store or pipelines.stack.store).url
    run_delete(head.tenant, EN, pipelines.stack.settings.bootstrap_servers, url, confirmed=True)


def registered(pipelines: Pipelines, head: HeadRecord) -> tuple[bool, bool]:
    """Whether the tenant is placed, and its head known."""
    snapshot = read_registry(pipelines.stack.settings)
    placement = snapshot.placement(EN, head.tenant)
    return placement is not None, snapshot.head(EN, head.tenant, head.version) is not None


def test_nothing_is_deleted_with_another_store_than_the_rings(
    pipelines: Pipelines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = owner(pipelines, "elsewhere", b"a file of its own")
    with pytest.raises(ArtifactError, match=r"nothing was deleted.*MANYHEADS_STORE_URL"):
        delete(pipelines, head, ModelStore(str(tmp_path)))
    assert registered(pipelines, head) == (True, True)
    assert pipelines.stack.store.fetch(head.artifact).exists()
    assert capsys.readouterr().out == ""
    delete(pipelines, head)
    assert registered(pipelines, head) == (False, False)


def test_a_delete_that_the_store_refused_is_done_again(
    pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    head = owner(pipelines, "refused", b"a file that stays at first")

    def refuse(_files: LocalFileSystem, path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    with monkeypatch.context() as patched:
        patched.setattr(LocalFileSystem, "rm_file", refuse)
        with pytest.raises(ArtifactError, match=r"Permission denied.*run the command again"):
            delete(pipelines, head)
    assert registered(pipelines, head) == (False, True)
    delete(pipelines, head)
    assert "deleted: no placement, 1 heads and 1 files of" in capsys.readouterr().out
    assert registered(pipelines, head) == (False, False)
    with pytest.raises(ArtifactError):
        pipelines.stack.store.fetch(head.artifact)


def test_a_delete_that_ended_after_the_files_is_done_again(
    pipelines: Pipelines, capsys: pytest.CaptureFixture[str]
) -> None:
    head = owner(pipelines, "half-deleted", b"a file that is gone")
    pipelines.en.registrar.writer.delete(placement_key(EN, head.tenant))
    pipelines.stack.store.remove(head.artifact)
    delete(pipelines, head)
    assert "1 heads and 0 files of tenant half-deleted in ring en; 1 files were gone already" in capsys.readouterr().out
    assert registered(pipelines, head) == (False, False)


def test_what_remains_in_every_cell_is_named(pipelines: Pipelines, capsys: pytest.CaptureFixture[str]) -> None:
    """A tenant of one cell may have been in the other before."""
    head = owner(pipelines, "moved", b"a file that moved")
    run_retention(head.tenant, EN, pipelines.stack.settings.bootstrap_servers, transient=True)
    told = capsys.readouterr().out
    assert all(f"  {embeddings_topic(EN, each)}: until" in told for each in (C0, C1))
    delete(pipelines, head)
    told = capsys.readouterr().out
    for each in (C0, C1):
        for transient in (False, True):
            assert f"  {embeddings_topic(EN, each, transient=transient)}: until" in told


async def asked_for_ever(client: Client, who: TenantName) -> None:
    while True:
        await client.predict(who, TEXTS[0], timeout=30)
