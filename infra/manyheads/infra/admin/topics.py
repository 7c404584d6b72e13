"""Listing, creating and changing topics, with kafka-python's admin client."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import for_code
from kafka.protocol.admin.topics import ElectionType

from manyheads.infra.admin.client import AdminClient, answering
from manyheads.infra.admin.replication import Partition, replicas_wanted
from manyheads.infra.settings import KafkaSettings
from manyheads.topics.catalogue import TopicSpec
from manyheads.topics.errors import BrokerError, ClientClosed, ErrorCode
from manyheads.topics.names import PREFIX

_OWN_SETTING = "DYNAMIC_TOPIC_CONFIG"
_ALREADY_EXISTS = "TopicAlreadyExistsError"
_UNKNOWN = "UnknownTopicOrPartitionError"
_POLL_S = 0.02
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as it is."""

    name: str
    partitions: int
    replicas: int
    """copies of each partition, the leader included"""
    settings: dict[str, str]
    """what was set on the topic itself; everything else has the broker's default"""


@dataclass(frozen=True, slots=True)
class PartitionChange:
    """A topic that got more partitions."""

    topic: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A setting of a topic that got another value."""

    topic: str
    setting: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class TopicChanges:
    """What :meth:`TopicAdmin.ensure` did; false if nothing had to be done."""

    created: tuple[str, ...] = ()
    enlarged: tuple[PartitionChange, ...] = ()
    altered: tuple[SettingChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.created or self.enlarged or self.altered)


class TopicAdmin:
    """Topics: what is there, what is missing, and making it so.

    ::

        with TopicAdmin(settings) as admin:
            changes = admin.ensure([*shared_topics(), *ring_topics(ring("en"), [cell("c0")])])

    Every method raises BrokerError(broker_unreachable), naming the brokers, if none answers within the timeout, and
    ClientClosed outside of ``with``.
    """

    def __init__(self, settings: KafkaSettings, *, timeout_s: float = 10.0) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._client: KafkaAdminClient | None = None

    def __enter__(self) -> Self:
        self._client = self._answered(lambda: AdminClient(self._settings, self._timeout_s))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def list(self, prefix: str = f"{PREFIX}.") -> tuple[TopicState, ...]:
        """The topics whose names begin with ``prefix``, by name; an empty prefix lists all but Kafka's own."""
        described = self._describe(None)
        found = [topic for topic in described if topic["name"].startswith(prefix) and not topic["is_internal"]]
        settings = self._settings_of({topic["name"]: None for topic in found})
        return tuple(
            TopicState(
                name=topic["name"],
                partitions=len(topic["partitions"]),
                replicas=max((len(partition["replica_nodes"]) for partition in topic["partitions"]), default=0),
                settings={
                    name: entry["value"]
                    for name, entry in settings[topic["name"]].items()
                    if entry["config_source"] == _OWN_SETTING
                },
            )
            for topic in sorted(found, key=lambda topic: str(topic["name"]))
        )

    def missing(self, specs: Iterable[TopicSpec]) -> tuple[TopicSpec, ...]:
        """Those of ``specs`` whose topics do not exist."""
        specs = tuple(specs)
        partitions = self._partitions()
        return tuple(spec for spec in specs if spec.name not in partitions)

    def ensure(self, specs: Iterable[TopicSpec], *, replicas: int | None = None) -> TopicChanges:
        """Create what is missing, add partitions where there are too few, and set settings that differ.

        Nothing is taken away: partitions beyond a spec's number stay, and so do settings that it does not name, and
        those that it names as initial only.
        May run in several processes at once. Returns when the changes show and every new partition has a leader.

        Args:
            specs: the topics as they should be.
            replicas: copies of each partition of a new topic; the broker's ``default.replication.factor`` if None.

        Raises:
            BrokerError: topics_missing if the broker refuses a topic or a setting; the message has its reason.
        """
        specs = tuple(specs)
        missing = self.missing(specs)
        created = self._create(missing, replicas)
        if missing:  # also those that somebody else has just created
            self._wait_until(lambda: not self.missing(missing), "show the topics that it created")
        existing = [spec for spec in specs if spec.name not in created]
        enlarged = self._enlarge(existing)
        altered = self._alter(existing)
        changed = [*created, *(change.topic for change in enlarged)]
        if changed:
            self._wait_until(lambda: self._has_partitions(specs), "show the partitions that it agreed to")
            self._call(lambda client: client.wait_for_topics(changed, timeout_ms=int(self._timeout_s * 1_000)))
        if altered:
            self._wait_until(lambda: not self._differing(existing), "show the settings that it agreed to")
        return TopicChanges(created, enlarged, altered)

    def delete(self, names: Iterable[str]) -> None:
        """Delete topics and all their records, for ever; a topic that does not exist is fine.

        Returns when they are gone.

        Raises:
            BrokerError: topics_missing if the broker refuses; the message has its reason.
        """
        partitions = self._partitions()
        doomed = [name for name in names if name in partitions]
        if doomed:
            answer = self._call(lambda client: client.delete_topics(doomed, raise_errors=False))
            for topic in answer["topics"]:
                if for_code(topic["error_code"]).__name__ != _UNKNOWN:  # somebody else was faster
                    _check(topic["name"], topic["error_code"], topic.get("error_message"))
            self._wait_until(lambda: not self._partitions().keys() & set(doomed), "drop the topics it deleted")

    def replicate(self, copies: int) -> tuple[str, ...]:
        """Bring every partition, those of Kafka's own topics included, to at least ``copies`` copies.

        Waits until the brokers are there and the new copies have caught up. Afterwards a write is acknowledged when
        all copies but one have it, so that one broker may fail. Copies are never taken away.

        Returns:
            the topics that got copies.

        Raises:
            BrokerError: topics_missing if there are too few brokers, or Kafka refuses; the message has the reason.
        """
        brokers: list[int] = []

        def all_there() -> bool:
            brokers[:] = sorted(broker["broker_id"] for broker in self._call(_describe_cluster)["brokers"])
            return len(brokers) >= copies

        self._wait_until(all_there, f"have {copies} brokers")
        wanted = replicas_wanted(self._replicas(), brokers, copies)
        moves = {TopicPartition(*partition): replicas for partition, replicas in wanted.items()}
        if moves:
            answer = self._call(lambda client: client.alter_partition_reassignments(moves))
            for partition, error in answer.items():
                if error is not None:
                    raise _refused(partition.topic, error.description)
            self._wait_until(lambda: not self._call(_reassignments), "finish the new copies")
            moved = {topic: [number for name, number in wanted if name == topic] for topic, _ in wanted}
            self._call(lambda client: client.elect_leaders(ElectionType.PREFERRED, moved, raise_errors=False))
        topics = tuple(sorted({topic for topic, _ in wanted}))
        safe = [TopicSpec(topic, 1, {"min.insync.replicas": str(max(1, copies - 1))}) for topic in topics]
        self._alter(safe)
        self._wait_until(lambda: not self._differing(safe), "show the settings that it agreed to")
        return topics

    def _replicas(self) -> dict[Partition, Sequence[int]]:
        return {
            (topic["name"], partition["partition_index"]): partition["replica_nodes"]
            for topic in self._describe(None)
            for partition in topic["partitions"]
        }

    def _create(self, specs: Sequence[TopicSpec], replicas: int | None) -> tuple[str, ...]:
        if not specs:
            return ()
        wanted = {
            spec.name: {
                "num_partitions": spec.partitions,
                "replication_factor": replicas or -1,
                "configs": spec.settings | spec.initial,
            }
            for spec in specs
        }
        answer = self._call(lambda client: client.create_topics(wanted, raise_errors=False))
        created = []
        for topic in answer["topics"]:
            # Somebody else may have been faster; whether theirs is as it should be is seen to next.
            if for_code(topic["error_code"]).__name__ != _ALREADY_EXISTS:
                _check(topic["name"], topic["error_code"], topic.get("error_message"))
                created.append(topic["name"])
        return tuple(created)

    def _enlarge(self, specs: Sequence[TopicSpec]) -> tuple[PartitionChange, ...]:
        partitions = self._partitions()
        changes = tuple(
            PartitionChange(spec.name, partitions[spec.name], spec.partitions)
            for spec in specs
            if partitions[spec.name] < spec.partitions
        )
        if changes:
            wanted = {change.topic: change.after for change in changes}
            answer = self._call(lambda client: client.create_partitions(wanted, raise_errors=False))
            for result in answer.results:
                _check(result.name, result.error_code, result.error_message)
        return changes

    def _alter(self, specs: Sequence[TopicSpec]) -> tuple[SettingChange, ...]:
        changes = self._differing(specs)
        if changes:
            wanted: dict[str, dict[str, str]] = {}
            for change in changes:
                wanted.setdefault(change.topic, {})[change.setting] = change.after
            resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs) for name, configs in wanted.items()]
            answer = self._call(lambda client: client.alter_configs(resources, raise_on_unknown=False))
            for name, result in answer["topic"].items():
                if result != "OK":
                    raise _refused(name, result)
        return changes

    def _differing(self, specs: Sequence[TopicSpec]) -> tuple[SettingChange, ...]:
        current = self._settings_of({spec.name: list(spec.settings) for spec in specs if spec.settings})
        changes = []
        for spec in specs:
            for name, value in spec.settings.items():
                entry = current[spec.name].get(name)
                before = None if entry is None else entry["value"]
                if before != value:
                    changes.append(SettingChange(spec.name, name, before, value))
        return tuple(changes)

    def _has_partitions(self, specs: Sequence[TopicSpec]) -> bool:
        partitions = self._partitions()
        return all(partitions.get(spec.name, 0) >= spec.partitions for spec in specs)

    def _wait_until(self, shown: Callable[[], bool], what: str) -> None:
        # A broker answers from its own copy of the metadata, which runs a little behind the controller.
        deadline = time.monotonic() + self._timeout_s
        while not shown():
            if time.monotonic() >= deadline:
                raise BrokerError(
                    ErrorCode.TOPICS_MISSING,
                    f"Kafka did not {what} within {self._timeout_s:g} s; look at its controller's log",
                    timeout_s=self._timeout_s,
                )
            time.sleep(_POLL_S)

    def _describe(self, names: Sequence[str] | None) -> Sequence[dict[str, Any]]:
        described: Sequence[dict[str, Any]] = self._call(lambda client: client.describe_topics(names))
        return described

    def _partitions(self) -> dict[str, int]:
        # All topics, not the named ones: to ask for an unknown topic may create it, where a broker is set so.
        return {topic["name"]: len(topic["partitions"]) for topic in self._describe(None)}

    def _settings_of(self, wanted: dict[str, Sequence[str] | None]) -> dict[str, dict[str, dict[str, Any]]]:
        if not wanted:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, settings) for name, settings in wanted.items()]
        answer = self._call(lambda client: client.describe_configs(resources, config_filter="all"))
        settings: dict[str, dict[str, dict[str, Any]]] = answer["topic"]
        return settings

    def _call(self, call: Callable[[KafkaAdminClient], _Result]) -> _Result:
        client = self._client
        if client is None:
            raise ClientClosed(ErrorCode.CLIENT_CLOSED, "the topic admin is not open: use it with 'with'")
        return self._answered(lambda: call(client))

    def _answered(self, call: Callable[[], _Result]) -> _Result:
        with answering(self._settings, self._timeout_s):
            return call()


def _describe_cluster(client: KafkaAdminClient) -> dict[str, Any]:
    found: dict[str, Any] = client.describe_cluster()
    return found


def _reassignments(client: KafkaAdminClient) -> dict[TopicPartition, Any]:
    found: dict[TopicPartition, Any] = client.list_partition_reassignments()
    return found


def _check(topic: str, error_code: int, reason: str | None) -> None:
    if error_code:
        error = for_code(error_code)
        raise _refused(topic, reason or error.description)


def _refused(topic: str, reason: str) -> BrokerError:
    return BrokerError(ErrorCode.TOPICS_MISSING, f"Kafka refuses {topic} as it should be: {reason}", topic=topic)
