"""A sender names a reply topic that may be read and not written: its request is dead-lettered, the others answered."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.broker import EmbeddedKafka, embedded
from manyheads.infra.broker.node import node_properties
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.stage.options import LaneInput
from manyheads.infra.stage.worker import StageWorker
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.names import Lane, ring
from tests.support.load import Replies, send, uncommitted, wait_until
from tests.support.stages import AskedStage, request

FORBIDDEN = "forbidden"
COUNT = 30
CULPRIT = 7


@pytest.fixture(scope="module")
def settings() -> Iterator[KafkaSettings]:
    """Of a broker where everybody may do anything, except that only somebody else may write to FORBIDDEN."""

    def guarded(*arguments: Any) -> dict[str, str]:
        return node_properties(*arguments) | {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "node_properties", guarded)
        with EmbeddedKafka() as kafka:
            with TopicAdmin(kafka.settings()) as admin:
                admin.ensure([TopicSpec(FORBIDDEN, 1)])
            _allow(kafka.settings(), {"User:ANONYMOUS": AclOperation.READ, "User:other": AclOperation.WRITE})
            yield kafka.settings()


def _allow(settings: KafkaSettings, who: dict[str, AclOperation]) -> None:
    admin = AdminClient({**settings.confluent()})
    literal, allow = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
    rules = [AclBinding(ResourceType.TOPIC, FORBIDDEN, literal, user, "*", what, allow) for user, what in who.items()]
    for future in admin.create_acls(rules).values():
        future.result(30)


@pytest.mark.parametrize("lane", list(Lane))
def test_the_others_are_answered(settings: KafkaSettings, lane: Lane) -> None:
    topic = f"asked-{uuid.uuid4().hex[:8]}"
    reply_to = f"{topic}-replies"
    with TopicAdmin(settings) as admin:
        admin.ensure([TopicSpec(name, 1) for name in (topic, f"{topic}-dlt", reply_to)])
    send(settings, [request(topic, n, reply_to=FORBIDDEN if n == CULPRIT else reply_to) for n in range(COUNT)])
    replies, letters = Replies(settings, reply_to), Replies(settings, f"{topic}-dlt")
    worker = StageWorker(settings, AskedStage(), [LaneInput(lane, ring("en"), topic, topic)])
    worker.open()

    def done() -> bool:
        worker.step()
        replies.collect(0)
        letters.collect(0)
        return len(replies.counts) == COUNT - 1 and bool(letters.counts)

    wait_until(done)
    worker.close()
    assert set(replies.counts) == set(range(COUNT)) - {CULPRIT}
    assert set(replies.counts.values()) == {1}
    assert letters.counts == {CULPRIT: 1}
    assert uncommitted(settings, topic, topic) == 0
    replies.close()
    letters.close()
