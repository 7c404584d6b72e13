"""A worker as a process: it says when it is ready, and SIGTERM loses and repeats nothing."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.names import Lane
from tests.support.load import Replies, WorkerProcess, send, uncommitted
from tests.support.stages import request

Launch = Callable[..., WorkerProcess]
BOTH = pytest.mark.parametrize("lane", list(Lane))


@pytest.fixture
def topics(topic_admin: TopicAdmin) -> Iterator[tuple[str, str]]:
    """A topic to consume, and one for the replies."""
    name = f"process-{uuid.uuid4().hex[:12]}"
    specs = [TopicSpec(name, 4), TopicSpec(f"{name}-dlt", 1), TopicSpec(f"{name}-replies", 1)]
    topic_admin.ensure(specs)
    yield name, f"{name}-replies"
    topic_admin.delete([spec.name for spec in specs])


@pytest.fixture
def launch(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[Launch]:
    """Starts workers, and sees to it that none outlives the test."""
    started: list[WorkerProcess] = []

    def launch(lane: Lane, topic: str) -> WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        started.append(WorkerProcess(kafka_settings, [(lane, topic, f"group-{topic}")], log))
        return started[-1]

    yield launch
    for each in started:
        each.close()


@BOTH
def test_sigterm_under_load_loses_and_repeats_nothing(
    kafka_settings: KafkaSettings, topics: tuple[str, str], launch: Launch, lane: Lane
) -> None:
    topic, reply_to = topics
    count = 3_000
    first = launch(lane, topic)
    first.wait_until_ready()
    replies = Replies(kafka_settings, reply_to)
    send(kafka_settings, [request(topic, number, reply_to=reply_to) for number in range(count)])
    replies.wait_for(100)
    second = launch(lane, topic)
    second.wait_until_ready()
    assert first.stop() == 0
    assert first.has_said("worker_stopped")
    replies.wait_for(count)
    assert second.stop() == 0
    replies.collect(1.0)
    replies.close()
    assert set(replies.counts) == set(range(count))
    assert set(replies.counts.values()) == {1}
    assert uncommitted(kafka_settings, f"group-{topic}", topic) == 0
