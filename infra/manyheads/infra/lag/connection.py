"""Asking all brokers at once: kafka-python's connections, with every request of a round in flight together."""

import time
from collections.abc import Hashable, Mapping
from typing import Any, Self, TypeVar

from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError
from kafka.future import Future
from kafka.protocol.metadata import MetadataRequest

from manyheads.infra.admin.client import AdminClient
from manyheads.infra.settings import KafkaSettings

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
Request = Any
Response = Any
_SILENT = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError)
_SHARE = 0.5
"""of the time that a round has left: as long a broker is waited for, so that the others can still be asked after it"""
_LEAST_S = 0.2
"""no shorter attempt to connect is made"""


class Connection(AdminClient):
    """One round trip for many requests. A broker that does not answer is left out of the answers.

    Whatever the brokers do, a round is over within the timeout: each question takes half of what is left of it at most.
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

    def __init__(self, settings: KafkaSettings, timeout_s: float, connect_s: float) -> None:
        self._silent: set[int] = set()
        """brokers that have not answered in this round: they are not waited for again"""
        self._silent_before: set[int] = set()
        self._until = 0.0
        super().__init__(settings, timeout_s, connect_s)

    @classmethod
    def within(cls, settings: KafkaSettings, timeout_s: float) -> Self:
        """Connect. Raises kafka.errors.KafkaError, after ``timeout_s`` if no broker answers."""
        until = time.monotonic() + timeout_s
        while True:
            connect_s = max(_LEAST_S, _SHARE * (until - time.monotonic()))
            try:
                return cls(settings, timeout_s, connect_s)
            except KafkaTimeoutError:
                # It has tried one of the servers, chosen by chance, which may be the only one that hangs.
                if time.monotonic() + _LEAST_S > until:
                    raise

    def begin(self, until: float) -> None:
        """A round begins, to be over at ``until`` of the monotonic clock."""
        self._until = until
        self._silent_before, self._silent = self._silent, set()

    def metadata(self) -> Response:
        """The brokers, and all topics with the leaders of their partitions. Raises KafkaError if no broker answers."""
        return self._manager.run(self._metadata)

    def ask(self, requests: Mapping[Key, tuple[int, Request]]) -> dict[Key, Response | KafkaError]:
        """The answer to each request, which goes to the broker of the given id; an error where there was none."""
        return self._manager.run(self._ask, requests)  # type: ignore[no-any-return]

    async def _ask(self, requests: Mapping[Key, tuple[int, Request]]) -> dict[Key, Response | KafkaError]:
        answer_by = self._answer_by()
        sent = {key: self._send(request, broker) for key, (broker, request) in requests.items()}
        answers = {key: await self._answer(future, answer_by) for key, future in sent.items()}
        self._silent |= {requests[key][0] for key, answer in answers.items() if isinstance(answer, _SILENT)}
        return answers

    async def _metadata(self) -> Response:
        failure: KafkaError = KafkaConnectionError("no broker is known")
        brokers = sorted(broker.node_id for broker in self._manager.cluster.brokers())
        for broker in sorted(brokers, key=lambda each: each in self._silent_before):
            request = MetadataRequest(topics=None, allow_auto_topic_creation=False)
            answer = (await self._ask({broker: (broker, request)}))[broker]
            if isinstance(answer, KafkaError):
                failure = answer
            elif not answer.brokers:  # and so no topics, though there are some
                failure = NodeNotReadyError(f"broker {broker} has not joined its cluster yet")
            else:
                self._manager.cluster.update_metadata(answer)  # where each broker is
                return answer
        raise failure

    def _answer_by(self) -> float:
        now = time.monotonic()
        return now + _SHARE * (self._until - now)

    def _send(self, request: Request, broker: int) -> Future:
        if broker in self._silent:
            return Future().failure(KafkaConnectionError(f"broker {broker} has not answered before"))
        try:
            return self._manager.send(request, broker)
        except KafkaError as error:  # such as a broker that the cluster has forgotten
            return Future().failure(error)

    async def _answer(self, future: Future, answer_by: float) -> Response | KafkaError:
        try:
            if not future.is_done:
                left_ms = max(0.0, answer_by - time.monotonic()) * 1_000
                return await self._manager.wait_for(future, left_ms)
            return await future
        except KafkaError as error:
            return error
