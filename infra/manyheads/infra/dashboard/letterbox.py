"""Reading dead letters: the newest of each topic, and one letter's text when somebody asks for it."""

import logging
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from manyheads.infra.dashboard.model import Letter, Letters
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.errors import BrokerError, ErrorCode, ManyheadsError, WireError
from manyheads.topics.headers import (
    DEAD_LETTER_CODE,
    DEAD_LETTER_MESSAGE,
    DEAD_LETTER_OFFSET,
    DEAD_LETTER_PARTITION,
    REPLY_PARTITION,
    TENANT,
    DeadLetterReason,
    Header,
)
from manyheads.topics.messages import Request
from manyheads.topics.names import DEAD_LETTER_SUFFIX, parse_stage_topic

_log = logging.getLogger(__name__)

KEPT = 200
"""letters of one topic, the newest"""
_NUMBERS = frozenset({DEAD_LETTER_PARTITION, DEAD_LETTER_OFFSET, REPLY_PARTITION})
_SHOWN_BYTES = 2_000
_ASK_S = 3.0
_READ_S = 3.0
_BATCH = 100


class LetterBox:
    """Follows the dead-letter topics that it is told of. For one thread, but for :meth:`text`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer: Consumer | None = None
        self._next: dict[tuple[str, int], int] = {}
        self._letters: dict[str, deque[Letter]] = {}
        self._problem: str | None = None

    @property
    def letters(self) -> Letters:
        """What was read so far."""
        found = {topic: tuple(sorted(kept, key=_newest_first)) for topic, kept in self._letters.items()}
        return Letters(self._problem, found)

    def read(self, topics: Iterable[str]) -> None:
        """Read what these topics have that was not read before, as far as that goes in a few seconds."""
        try:
            if self._consumer is None:
                self._consumer = _consumer(self._settings)
            for topic in topics:
                self._read(self._consumer, topic)
            self._problem = None
        except KafkaException as error:
            self._problem = f"{error.args[0].str()}; check that Kafka runs and that dead-letter topics may be read"

    def close(self) -> None:
        """Stop reading. Safe to call twice."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def text(self, letter: Letter) -> str:
        """The text in a letter, read from Kafka; what stands there if it is no request. Blocks for seconds.

        Raises:
            BrokerError: broker_unreachable, also if the letter is gone.
        """
        consumer = _consumer(self._settings)
        try:
            consumer.assign([TopicPartition(letter.topic, letter.partition, letter.offset)])
            until = time.monotonic() + _ASK_S
            while time.monotonic() < until:
                message = consumer.poll(0.2)
                if message is not None and message.error() is None:
                    if message.offset() == letter.offset:
                        return _text(letter.topic, message.value())
                    break  # retention has taken it
        finally:
            consumer.close()
        raise BrokerError(
            ErrorCode.BROKER_UNREACHABLE,
            f"offset {letter.offset} of {letter.topic} could not be read: it may have been deleted, or Kafka is away",
        )

    def _read(self, consumer: Consumer, topic: str) -> None:
        metadata = consumer.list_topics(topic, timeout=_ASK_S).topics[topic]
        kept = self._letters.setdefault(topic, deque(maxlen=KEPT))
        for number in metadata.partitions:
            low, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_ASK_S)
            start = max(low, end - KEPT, self._next.get((topic, number), 0))
            if start < end:
                kept.extend(self._fetch(consumer, topic, number, start, end))

    def _fetch(self, consumer: Consumer, topic: str, number: int, start: int, end: int) -> list[Letter]:
        found: list[Letter] = []
        consumer.assign([TopicPartition(topic, number, start)])
        until = time.monotonic() + _READ_S
        at = start
        while at < end and time.monotonic() < until:
            messages = consumer.consume(_BATCH, 0.5)
            for message in messages:
                error = message.error()
                if error is not None:
                    raise KafkaException(error)
                at = (message.offset() or 0) + 1
                found.append(as_letter(message))
            if not messages:
                break  # what is left are the markers of transactions
        consumer.unassign()
        self._next[topic, number] = at
        return found


def as_letter(message: Message) -> Letter:
    """What a record of a dead-letter topic says, whatever is on it."""
    raw = cast("list[Header]", [(name, value or b"") for name, value in cast("Any", message.headers()) or ()])
    by_name = dict(raw)
    try:
        reason = DeadLetterReason.from_headers(raw)
        code, why = reason.code, reason.message
    except WireError:
        code = _plain(by_name.get(DEAD_LETTER_CODE, b"")) or "unknown"
        why = _plain(by_name.get(DEAD_LETTER_MESSAGE, b"")) or "It does not say why it is here."
    tenant = by_name.get(TENANT)
    value = message.value()
    return Letter(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        at_ms=message.timestamp()[1],
        code=code,
        reason=why,
        tenant=None if tenant is None else _plain(tenant),
        headers=tuple((name, shown(name, value)) for name, value in raw),
        value_bytes=None if value is None else len(value),
    )


def shown(name: str, value: bytes) -> str:
    """A header's value for people: a number, a text, or hexadecimal digits."""
    if name in _NUMBERS and len(value) in (4, 8):
        return str(int.from_bytes(value, "big", signed=True))
    text = value.decode("utf-8", "replace")
    return text if text.isprintable() and "\ufffd" not in text else value.hex()


def _text(topic: str, value: bytes | None) -> str:
    if value is None:
        return "The record has no value: it was too large to be kept with its reason, or its tenant's are not kept."
    source = parse_stage_topic(topic.removesuffix(DEAD_LETTER_SUFFIX))
    if source is not None and source.cell is not None:
        return f"An embedding, which holds no text: {len(value):,} bytes."
    try:
        return Request.from_bytes(value).text
    except ManyheadsError as error:
        return f"It is no request ({error.message}). It begins with:\n\n{value[:_SHOWN_BYTES]!r}"


def _plain(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _newest_first(letter: Letter) -> tuple[int, int]:
    return (-letter.at_ms, -letter.offset)


def _consumer(settings: KafkaSettings) -> Consumer:
    return Consumer(
        {
            **settings.confluent(),
            "reconnect.backoff.max.ms": 1_000,
            # While Kafka is away nobody polls it, and its lines, many a second, would wait in memory until then. What
            # is wrong is said by the box itself.
            "log_level": 2,
            # librdkafka wants a group's name; without subscribe and commit none is ever joined.
            "group.id": "manyheads-dashboard-unused",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 10,
        },
        logger=_log,
    )
