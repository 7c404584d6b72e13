"""Records that a client library itself trips over must not stop a worker."""

import uuid

from kafka import KafkaProducer

from manyheads.infra.admin import TopicAdmin
from manyheads.infra.settings import KafkaSettings
from manyheads.infra.stage.options import LaneInput
from manyheads.infra.stage.worker import StageWorker
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.names import Lane, ring
from tests.support.load import Replies, send, uncommitted, wait_until
from tests.support.stages import AskedStage, request

_BEFORE = 100


class _RawName(str):
    """A header name that is no UTF-8, which Kafka's brokers do not mind."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfebad"


def test_a_header_name_that_is_no_utf8_is_dead_lettered_and_the_next_record_answered(
    kafka_settings: KafkaSettings, topic_admin: TopicAdmin
) -> None:
    topic = f"poison-{uuid.uuid4().hex[:12]}"
    reply_to = f"{topic}-replies"
    names = [topic, f"{topic}-dlt", reply_to]
    topic_admin.ensure([TopicSpec(name, 1) for name in names])
    # Many before it: in code that is hot the interpreter no longer looks for an exception after every call into C.
    send(kafka_settings, [request(topic, number, reply_to=reply_to) for number in range(_BEFORE)])
    with KafkaProducer(**kafka_settings.kafka_python()) as producer:
        producer.send(topic, b"poison", headers=[(_RawName("x"), b"1")]).get(30)
    send(kafka_settings, [request(topic, _BEFORE, reply_to=reply_to)])

    worker = StageWorker(kafka_settings, AskedStage(), [LaneInput(Lane.INTERACTIVE, ring("en"), topic, topic)])
    worker.open()
    replies = Replies(kafka_settings, reply_to)

    def answered() -> bool:
        worker.step()
        replies.collect(0.0)
        return replies.counts == dict.fromkeys(range(_BEFORE + 1), 1)

    wait_until(answered)
    worker.close()
    replies.close()
    assert uncommitted(kafka_settings, topic, topic) == 0
    topic_admin.delete(names)
