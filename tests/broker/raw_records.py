"""Records that no SDK would send, and what becomes of them: for tests of hostile input."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, Producer, TopicPartition

from manyheads.infra.settings import KafkaSettings
from manyheads.topics.headers import DeadLetterReason, Header, Headers, correlation_id_of
from manyheads.topics.messages import Reply
from manyheads.topics.names import REPLIES_TOPIC, dead_letter_topic

_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record on a dead-letter topic."""

    reason: DeadLetterReason
    value: bytes | None
    headers: Headers


class RawRecords:
    """Sends bytes to a topic; reads the dead letters of that topic, and the replies, that came since it was opened."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._topic = topic
        self._producer = Producer(settings.confluent() | {"message.max.bytes": 8_000_000})
        self._consumer = Consumer(settings.confluent() | {"group.id": f"raw-{uuid.uuid4().hex}"})
        watched = [dead_letter_topic(topic), REPLIES_TOPIC]
        found = self._consumer.list_topics(timeout=_PATIENCE_S).topics
        ends = []
        for name in watched:
            for number in found[name].partitions:
                _, high = self._consumer.get_watermark_offsets(TopicPartition(name, number), timeout=_PATIENCE_S)
                ends.append(TopicPartition(name, number, high))
        self._consumer.assign(ends)
        self._dead_letters: dict[int, DeadLetter] = {}
        self._replies: dict[bytes, Reply] = {}

    def send(self, value: bytes | None, headers: Headers = (), *, partition: int = 0, key: bytes | None = None) -> int:
        """Put one record into a partition; its offset, once the broker has it."""
        offsets: list[int] = []

        def delivered(error: object, message: object) -> None:
            assert error is None, error
            offsets.append(message.offset())  # type: ignore[attr-defined]

        self._producer.produce(
            self._topic, value, key, partition=partition, headers=list(headers), on_delivery=delivered
        )
        assert self._producer.flush(_PATIENCE_S) == 0
        return offsets[0]

    def dead_letter(self, offset: int) -> DeadLetter:
        """The dead letter of the record that was sent to ``offset``."""
        self._read_until(lambda: offset in self._dead_letters, f"no dead letter of {self._topic} at {offset}")
        return self._dead_letters[offset]

    def reply(self, correlation_id: bytes) -> Reply:
        """The reply with this correlation id."""
        self._read_until(lambda: correlation_id in self._replies, f"no reply to {correlation_id!r}")
        return self._replies[correlation_id]

    def has_reply(self, correlation_id: bytes) -> bool:
        """Whether a reply with this correlation id has been read on the way to something else."""
        return correlation_id in self._replies

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def _read_until(self, found: Callable[[], bool], failure: str) -> None:
        until = time.monotonic() + _PATIENCE_S
        while not found():
            assert time.monotonic() < until, failure
            message = self._consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            found_headers: list[tuple[str, bytes | None]] = list(message.headers() or [])  # type: ignore[arg-type]
            headers: Headers = tuple((name, value) for name, value in found_headers if value is not None)
            if message.topic() == REPLIES_TOPIC:
                correlation_id = correlation_id_of(headers)
                if correlation_id is not None:
                    self._replies[correlation_id] = Reply.from_bytes(message.value())
            else:
                reason = DeadLetterReason.from_headers(headers)
                self._dead_letters[reason.offset] = DeadLetter(reason, message.value(), headers)


def without(headers: Headers, name: str) -> Headers:
    """The headers but for one."""
    return tuple(header for header in headers if header[0] != name)


def with_header(headers: Headers, header: Header) -> Headers:
    """The headers with one replaced or added."""
    return (*without(headers, header[0]), header)
