"""kafka-python's admin client, opened safely and with errors of ours."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from manyheads.infra.settings import KafkaSettings
from manyheads.topics.errors import BrokerError, ErrorCode


class AdminClient(KafkaAdminClient):  # type: ignore[misc]
    """Kept from logging passwords and from leaving a thread behind when it cannot connect."""

    def __init__(self, settings: KafkaSettings, timeout_s: float, connect_s: float | None = None) -> None:
        """Connect within ``connect_s``, or ``timeout_s`` if None; every request may take ``timeout_s``.

        Raises:
            kafka.errors.KafkaError: it cannot connect.
        """
        config = settings.kafka_python()
        if "sasl_plain_password" in config:
            # At DEBUG these two write every request to the log, and so the one that holds the password.
            for logger in ("kafka.net.connection", "kafka.protocol.parser"):
                logging.getLogger(logger).setLevel(logging.INFO)
        connect_ms = int((timeout_s if connect_s is None else connect_s) * 1_000)
        try:
            super().__init__(**config, bootstrap_timeout_ms=connect_ms, request_timeout_ms=int(timeout_s * 1_000))
        except BaseException:
            self._closed = False  # set only by a successful start, and close() does nothing without it
            self.close()
            raise


def no_answer(settings: KafkaSettings, timeout_s: float, error: Exception) -> str:
    """The sentence for an operator; an error of kafka-python has its name in its text."""
    reason = str(error) if isinstance(error, KafkaError) else f"{type(error).__name__}: {error}"
    return (
        f"no answer from Kafka at {settings.bootstrap_servers} within {timeout_s:g} s ({reason}): is it running, and "
        "are the MANYHEADS_ settings its own?"
    )


@contextmanager
def answering(settings: KafkaSettings, timeout_s: float) -> Iterator[None]:
    """Raises BrokerError(broker_unreachable), naming the brokers, for whatever kafka-python raises within."""
    try:
        yield
    except KafkaError as error:
        raise BrokerError(
            ErrorCode.BROKER_UNREACHABLE,
            no_answer(settings, timeout_s, error),
            servers=settings.bootstrap_servers,
            timeout_s=timeout_s,
        ) from error
