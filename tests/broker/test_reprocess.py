"""Logs in bulk over a real pipeline: every format, each text encoded once, what cannot be processed named."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.settings import KafkaSettings
from manyheads.producers import Client
from manyheads.producers.reprocess.estimate import estimated
from manyheads.producers.reprocess.options import Destination, OutputFormat, Pace
from manyheads.producers.reprocess.preparation import Preparation
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.errors import InvalidRequest
from manyheads.topics.names import Lane, requests_topic
from tests.broker.pipelines import EN, PLAIN, SHOP, Pipelines
from tests.support.reprocess import Log, options, predictions, rejects_of, rows_of, run_job, write_log


@pytest.fixture(scope="module")
def log(pipelines: Pipelines, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Texts of two tenants in two cells, many of them asked by both and again and again."""
    texts = [example.text for example in SHOP.held_out[:20]]
    asks = [(SHOP.tenant if n % 3 else PLAIN.tenant, texts[n * n % len(texts)]) for n in range(150)]
    return write_log(tmp_path_factory.mktemp("logs"), asks, spoil_every=12)


def end_of(settings: KafkaSettings, topic: str) -> int:
    """Records that were ever written to the topic."""
    with Consumer(settings.confluent() | {"group.id": "ends"}) as consumer:
        numbers = consumer.list_topics(topic, 30).topics[topic].partitions
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, number), 30)[1] for number in numbers)


def read_all(settings: KafkaSettings, topic: str) -> list[dict[str, Any]]:
    """Committed records of a topic with one partition."""
    config = {"group.id": "all", "isolation.level": "read_committed", "enable.partition.eof": True}
    rows = []
    with Consumer(settings.confluent() | config) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while (message := consumer.poll(30)) is not None:
            if (error := message.error()) is not None:
                assert error.code() == KafkaError._PARTITION_EOF
                break
            assert message.key() == json.loads(message.value() or b"")["tenant"].encode()
            rows.append(json.loads(message.value() or b""))
    return rows


def new_topic(settings: KafkaSettings) -> str:
    name = f"reprocess-{uuid.uuid4().hex[:8]}"
    with TopicAdmin(settings) as admin:
        admin.ensure([TopicSpec(name, 1)])
    return name


async def test_each_row_is_answered_as_a_client_would_be_and_each_text_sent_once(
    pipelines: Pipelines, log: Log, tmp_path: Path
) -> None:
    settings, out = pipelines.stack.settings, tmp_path / "out"
    requests = requests_topic(EN, Lane.BATCH)
    before = end_of(settings, requests)
    summary = await run_job(settings, options(EN, log.inputs, Destination(str(out))))
    # One more: what an unknown tenant asks is known to be unanswerable only by the pipeline.
    asked = log.texts | {"hello"}
    records = end_of(settings, requests) - before
    assert (summary.texts, summary.sent) == (len(asked), len(asked))
    assert records == len(asked)
    assert (summary.rows, summary.rejected) == (len(log.rows) + len(log.rejected), len(log.rejected))
    assert rejects_of(out / "_rejects.jsonl") == log.rejected
    found = predictions(rows_of(out))
    assert {place: row[:2] for place, row in found.items()} == log.rows
    async with Client(settings, ring=EN, timeout=60.0) as client:
        for tenant, text in set(log.rows.values()):
            answer = await client.predict(tenant, text)
            expected = (answer.intent.name, answer.intent.confidence)
            assert {row[3:5] for place, row in found.items() if log.rows[place] == (tenant, text)} == {expected}
    again = await run_job(settings, options(EN, log.inputs, Destination(str(out))))
    assert (again.rows, again.rejected, again.sent) == (summary.rows, summary.rejected, 0)
    with pytest.raises(InvalidRequest, match="holds the output of job"):
        await run_job(settings, options(EN, log.inputs, Destination(str(out)), limit=3))
    out.rename(tmp_path / "elsewhere")
    with pytest.raises(InvalidRequest, match="are done, and their output is not in"):
        await run_job(settings, options(EN, log.inputs, Destination(str(out))))


async def test_json_lines_and_topics_have_the_same_rows(pipelines: Pipelines, log: Log, tmp_path: Path) -> None:
    settings, topic = pipelines.stack.settings, new_topic(pipelines.stack.settings)
    lines = options(EN, log.inputs, Destination(str(tmp_path / "out"), OutputFormat.JSONL))
    records = options(EN, log.inputs, Destination("", topic=topic), dedupe=False)
    rejects = tmp_path / "rejects.jsonl"
    for asked in (lines, records):
        summary = await run_job(settings, asked, rejects=str(rejects))
        assert summary.rejected == len(log.rejected)
        assert rejects_of(rejects) == log.rejected
    assert summary.sent == len(log.rows) + sum(code == "unknown_tenant" for code in log.rejected.values())
    expected = predictions(rows_of(tmp_path / "out", OutputFormat.JSONL))
    assert predictions(read_all(settings, topic)) == expected
    assert expected.keys() == log.rows.keys()


async def test_a_topic_is_read_up_to_its_end_as_of_the_beginning(pipelines: Pipelines, tmp_path: Path) -> None:
    settings, topic = pipelines.stack.settings, new_topic(pipelines.stack.settings)
    texts = [example.text for example in SHOP.held_out[:5]]
    producer = Producer(settings.confluent())
    for value in [*(json.dumps({"t": SHOP.tenant, "q": text, "id": 0}) for text in texts), "no JSON", '{"t": 3}']:
        producer.produce(topic, value)
    producer.flush()
    asked = options(EN, [f"topic:{topic}"], Destination(str(tmp_path / "out")), keep_text=False)
    summary = await run_job(settings, asked, "from-a-topic")
    assert (summary.rows, summary.rejected) == (7, 2)
    rows = rows_of(tmp_path / "out")
    assert sorted((row["input_file"], row["input_row"]) for row in rows) == [(f"topic:{topic}/0", n) for n in range(5)]
    assert "text" not in rows[0]
    assert not [entity for row in rows for entity in row["entities"] if entity["text"] is not None]
    producer.produce(topic, json.dumps({"t": SHOP.tenant, "q": "later", "id": 0}))
    producer.flush()
    assert (await run_job(settings, asked, "from-a-topic")).rows == 7


async def test_several_processes_share_a_job(pipelines: Pipelines, log: Log, tmp_path: Path) -> None:
    asked = options(EN, log.inputs, Destination(str(tmp_path / "out")), bucket_rows=10)
    summaries = await asyncio.gather(*(run_job(pipelines.stack.settings, asked, "shared") for _ in range(2)))
    assert {(each.rows, each.rejected, each.texts) for each in summaries} == {
        (len(log.rows) + len(log.rejected), len(log.rejected), len(log.texts) + 1)
    }
    assert predictions(rows_of(tmp_path / "out")).keys() == log.rows.keys()


async def test_a_job_knows_of_what_it_did_itself_without_looking(
    pipelines: Pipelines, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manyheads.producers.reprocess.job._LOOK_EVERY_S", 3_600.0)
    asked = options(EN, log.inputs, Destination(str(tmp_path / "out")), bucket_rows=10)
    async with asyncio.timeout(120):
        summary = await run_job(pipelines.stack.settings, asked)
    assert summary.rows == len(log.rows) + len(log.rejected)


async def test_what_a_job_would_be_is_counted_and_nothing_is_written(
    pipelines: Pipelines, log: Log, tmp_path: Path
) -> None:
    asked = options(EN, log.inputs, Destination(str(tmp_path / "out")))
    found = await estimated(pipelines.stack.settings, asked, Pace())
    assert (found.rows, found.texts) == (len(log.rows) + len(log.rejected), len(log.texts) + 1)
    assert found.pairs == len(set(log.rows.values())) + 1
    assert found.unusable == sum(code != "unknown_tenant" for code in log.rejected.values())
    assert found.probe.answers == found.pairs
    assert found.seconds
    assert not (tmp_path / "out").exists()


def topic_of(settings: KafkaSettings, *partitions: list[Any]) -> str:
    """A topic with a record for each value, which is its column ``x``; those of a list are in one partition."""
    name = f"reprocess-{uuid.uuid4().hex[:8]}"
    with TopicAdmin(settings) as admin:
        admin.ensure([TopicSpec(name, len(partitions))])
    producer = Producer(settings.confluent())
    for number, values in enumerate(partitions):
        for value in values:
            producer.produce(name, json.dumps({"t": SHOP.tenant, "q": "hello", "x": value}), partition=number)
    producer.flush()
    return name


def abort_a_record(settings: KafkaSettings, topic: str, partition: int) -> None:
    """The partition has offsets, and nothing that a reader of committed records finds."""
    producer = Producer(settings.confluent() | {"transactional.id": f"aborts-{uuid.uuid4().hex[:8]}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b'{"x": {}}', partition=partition)
    producer.flush()
    producer.abort_transaction(30)


@pytest.mark.parametrize("partitions", [(["s", None], [{"y": 1}]), ([{"y": 1}], ["s", None])])
async def test_a_topics_columns_have_one_type_over_its_partitions(
    pipelines: Pipelines, tmp_path: Path, partitions: tuple[list[Any], ...]
) -> None:
    settings = pipelines.stack.settings
    out = Destination(str(tmp_path / "out"), OutputFormat.JSONL)
    asked = options(EN, [f"topic:{topic_of(settings, *partitions)}"], out)
    await run_job(settings, asked)
    found = {(row["input_file"][-2:], row["input_row"]): row["x"] for row in rows_of(tmp_path / "out", out.format)}
    assert found == {
        (f"/{number}", offset): value for number, values in enumerate(partitions) for offset, value in enumerate(values)
    }


@pytest.mark.parametrize("partitions", [([None], [3]), ([3], [None]), ([None], [None, 3], [None])])
async def test_a_partition_without_a_value_takes_its_topics_type(
    pipelines: Pipelines, partitions: tuple[list[Any], ...]
) -> None:
    settings = pipelines.stack.settings
    asked = options(EN, [f"topic:{topic_of(settings, *partitions)}"], Destination("out"))
    plan = Preparation(settings, asked).own_plan()
    assert [str(extra.field.type) for extra in plan.extras] == ["int64"]
    assert plan.rows == sum(len(values) for values in partitions)


@pytest.mark.parametrize("empty", [0, 1])
async def test_a_partition_may_be_empty_and_a_topic_may_not(pipelines: Pipelines, tmp_path: Path, empty: int) -> None:
    settings = pipelines.stack.settings
    topic = topic_of(settings, *([], [3]) if empty == 0 else ([3], []))
    abort_a_record(settings, topic, empty)
    summary = await run_job(settings, options(EN, [f"topic:{topic}"], Destination(str(tmp_path / "out"))))
    assert (summary.rows, summary.rejected) == (1, 0)
    nothing = topic_of(settings, [], [])
    for number in (0, 1):
        abort_a_record(settings, nothing, number)
    with pytest.raises(InvalidRequest, match=f"topic:{nothing} is empty: leave it out"):
        Preparation(settings, options(EN, [f"topic:{nothing}"], Destination("out"))).own_plan()
