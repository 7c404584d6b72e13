"""Asking all brokers at once: kafka-python's connections, with every request of a round in flight together."""

from collections.abc import Awaitable, Hashable, Mapping
from typing import Any, TypeVar

from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError
from kafka.protocol.metadata import MetadataRequest

from manyheads.infra.admin.client import AdminClient
from manyheads.infra.settings import KafkaSettings

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
Request = Any
Response = Any
_SILENT = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError)


class Connection(AdminClient):
    """One round trip for many requests. A broker that does not answer is left out of the answers.

    Raises kafka.errors.KafkaError when it cannot connect at all.
    """

    DEFAULT_CONFIG = AdminClient.DEFAULT_CONFIG | {
        # A round sends a broker some requests for each group at once; one too many would be refused, not queued.
        "max_in_flight_requests_per_connection": 10_000,
        # A broker that comes back is to be seen again soon.
        "reconnect_backoff_max_ms": 1_000,
        "socket_connection_setup_timeout_ms": 2_000,
        "socket_connection_setup_timeout_max_ms": 2_000,
    }

    def __init__(self, settings: KafkaSettings, timeout_s: float) -> None:
        self._silent: set[int] = set()
        """brokers that have not answered in this round: they are not waited for again"""
        super().__init__(settings, timeout_s)

    def metadata(self) -> Response:
        """A round begins: the brokers, and all topics with the leaders of their partitions. Raises KafkaError."""
        self._silent.clear()
        return self._manager.run(self._metadata)

    def ask(self, requests: Mapping[Key, tuple[int, Request]]) -> dict[Key, Response | KafkaError]:
        """The answer to each request, which goes to the broker of the given id; an error where there was none."""
        return self._manager.run(self._ask, requests)  # type: ignore[no-any-return]

    async def _ask(self, requests: Mapping[Key, tuple[int, Request]]) -> dict[Key, Response | KafkaError]:
        sent = {key: self._send(request, broker) for key, (broker, request) in requests.items()}
        answers = {key: await _answer(future) for key, future in sent.items()}
        self._silent |= {requests[key][0] for key, answer in answers.items() if isinstance(answer, _SILENT)}
        return answers

    def _send(self, request: Request, broker: int) -> Awaitable[Response]:
        if broker in self._silent:
            return _failed(KafkaConnectionError(f"broker {broker} has not answered before"))
        try:
            return self._manager.send(request, broker)  # type: ignore[no-any-return]
        except KafkaError as error:  # such as a broker that the cluster has forgotten
            return _failed(error)

    async def _metadata(self) -> Response:
        response = await self._manager.send(MetadataRequest(topics=None, allow_auto_topic_creation=False))
        self._manager.cluster.update_metadata(response)  # where each broker is
        return response


async def _failed(error: KafkaError) -> Response:
    raise error


async def _answer(future: Awaitable[Response]) -> Response | KafkaError:
    try:
        return await future
    except KafkaError as error:
        return error
