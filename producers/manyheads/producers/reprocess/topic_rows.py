"""Rows from a Kafka topic: what it holds now, between fixed offsets, so that all processes of a job read the same."""

from collections.abc import Iterator
from dataclasses import replace

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from manyheads.infra.kafka.errors import log
from manyheads.infra.settings import KafkaSettings
from manyheads.producers.reprocess.json_rows import JsonRow, parsed
from manyheads.producers.reprocess.sources import Source, empty
from manyheads.topics.errors import BrokerError, ErrorCode, InvalidRequest

_ASK_S = 30.0
_RECORDS_AT_ONCE = 2_000
_SILENCE = 30
"""calls of a second each that bring nothing, until the broker counts as gone"""


class TopicReader:
    """Reads committed records, each a JSON object. A consumer of its own for each call, and no group."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def snapshot(self, source: Source, since_ms: int | None) -> tuple[Source, ...]:
        """The partitions of a topic as inputs of their own, from their beginning or a time to their end as of now.

        Raises:
            InvalidRequest: there is no such topic, or nothing in it.
            BrokerError: broker_unreachable.
        """
        consumer = self._consumer()
        try:
            topic = consumer.list_topics(source.topic, _ASK_S).topics[source.topic]
            if topic.error is not None:
                raise InvalidRequest(
                    ErrorCode.INVALID_ARGUMENT, f"Kafka has no topic {source.topic}: check its name", topic=source.topic
                )
            parts = [self._part(consumer, source, number, since_ms) for number in sorted(topic.partitions)]
        except KafkaException as error:
            raise _unreachable(self._settings, error) from error
        finally:
            consumer.close()
        found = tuple(part for part in parts if part.size)
        if not found:
            raise empty(source.name)
        return found

    def rows(self, source: Source) -> Iterator[JsonRow]:
        """The rows of one partition, numbered by offset. Raises BrokerError."""
        consumer = self._consumer()
        try:
            consumer.assign([confluent_kafka.TopicPartition(source.topic, source.partition, source.start)])
            position, silent = source.start, 0
            while position < source.end:
                messages = consumer.consume(_RECORDS_AT_ONCE, 1.0)
                silent = 0 if messages else silent + 1
                if silent >= _SILENCE:
                    raise _silent(self._settings, source)
                for message in messages:
                    error, offset = message.error(), message.offset()
                    assert offset is not None
                    if error is None:
                        position = offset + 1
                        if offset < source.end:
                            yield parsed(offset, message.value())
                    elif error.code() == KafkaError._PARTITION_EOF:  # transactions' own records are seen by this alone
                        position = max(position, offset)
                    else:
                        _check(error)
        except KafkaException as error:
            raise _unreachable(self._settings, error) from error
        finally:
            consumer.close()

    def _part(self, consumer: confluent_kafka.Consumer, source: Source, number: int, since_ms: int | None) -> Source:
        at = confluent_kafka.TopicPartition(source.topic, number)
        start, end = consumer.get_watermark_offsets(at, _ASK_S)
        if since_ms is not None:
            asked = confluent_kafka.TopicPartition(source.topic, number, since_ms)
            (found,) = consumer.offsets_for_times([asked], _ASK_S)
            start = end if found.offset < 0 else found.offset
        return replace(source, name=f"{source.name}/{number}", size=end - start, start=start, end=end)

    def _consumer(self) -> confluent_kafka.Consumer:
        return confluent_kafka.Consumer(
            self._settings.confluent()
            | {
                "group.id": "manyheads.reprocess",  # asked for, and never joined
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
            },
            logger=log,
        )


def _check(error: KafkaError) -> None:
    if error.fatal() or not error.retriable():
        raise KafkaException(error)


def _unreachable(settings: KafkaSettings, error: KafkaException) -> BrokerError:
    return BrokerError(
        ErrorCode.BROKER_UNREACHABLE,
        f"the topic cannot be read from {settings.bootstrap_servers}: {error.args[0].str()}; check that Kafka runs and "
        "that this user may read it",
    )


def _silent(settings: KafkaSettings, source: Source) -> BrokerError:
    return BrokerError(
        ErrorCode.BROKER_UNREACHABLE,
        f"{settings.bootstrap_servers} gave nothing of {source.name} for {_SILENCE} s; check that Kafka runs, and that "
        "no transaction on the topic is open",
    )
