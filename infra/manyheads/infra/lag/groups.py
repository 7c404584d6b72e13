"""The groups as their coordinators know them: members, what each has, and what is committed."""

import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from kafka.errors import KafkaError, for_code
from kafka.protocol.admin import DescribeGroupsRequest, ListGroupsRequest
from kafka.protocol.consumer import OffsetFetchRequest
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

from manyheads.infra.kafka.records import TopicPartition
from manyheads.infra.lag.connection import Connection
from manyheads.infra.lag.model import Member
from manyheads.infra.lag.protocol import ConsumerGroupDescribeRequest

_CONSUMER_GROUP = "consumer"
"""Kafka's word for a group of the protocol of KIP-848; groups of the older one are ``classic``"""
_CONSUMERS = "consumer"
"""the older protocol's word for groups of consumers; others are of Connect and the like. Without members it is empty"""
_NOT_CONSUMERS = frozenset({"share", "streams"})


@dataclass(frozen=True, slots=True)
class ListedGroup:
    """A group that a broker coordinates."""

    name: str
    coordinator: int
    consumer_protocol: bool
    state: str


@dataclass(frozen=True, slots=True)
class GroupReading:
    """One group at one moment."""

    name: str
    state: str
    members: tuple[Member, ...] = ()
    owners: Mapping[TopicPartition, Member] = field(default_factory=dict)
    committed: Mapping[TopicPartition, int] = field(default_factory=dict)
    problem: str | None = None
    """why nothing of it is known"""


@dataclass(frozen=True, slots=True)
class Groups:
    """What the brokers said."""

    found: tuple[GroupReading, ...]
    silent: tuple[int, ...]
    """brokers that did not say which groups they coordinate"""


def read_groups(connection: Connection, brokers: Sequence[int], wanted: re.Pattern[str] | None) -> Groups:
    """All consumer groups, or those whose whole name ``wanted`` matches. Two round trips."""
    listed, silent = _list_groups(connection, brokers)
    groups = [group for group in listed if wanted is None or wanted.fullmatch(group.name)]
    return Groups(tuple(_describe(connection, groups)), silent)


def _list_groups(connection: Connection, brokers: Sequence[int]) -> tuple[list[ListedGroup], tuple[int, ...]]:
    answers = connection.ask({broker: (broker, ListGroupsRequest()) for broker in brokers})
    listed: list[ListedGroup] = []
    silent = []
    for broker, answer in answers.items():
        if isinstance(answer, KafkaError) or answer.error_code:
            silent.append(broker)
            continue
        for group in answer.groups:
            kind = (group.group_type or "").lower()
            if group.protocol_type in (_CONSUMERS, "") and kind not in _NOT_CONSUMERS:
                listed.append(ListedGroup(group.group_id, broker, kind == _CONSUMER_GROUP, group.group_state or ""))
    return listed, tuple(silent)


def _describe(connection: Connection, groups: Sequence[ListedGroup]) -> Iterable[GroupReading]:
    by_coordinator: dict[tuple[int, bool], list[str]] = defaultdict(list)
    for group in groups:
        by_coordinator[group.coordinator, group.consumer_protocol].append(group.name)
    requests: dict[tuple[str, int, bool], tuple[int, Any]] = {}
    for (coordinator, consumer_protocol), names in by_coordinator.items():
        describe = ConsumerGroupDescribeRequest if consumer_protocol else DescribeGroupsRequest
        requests["members", coordinator, consumer_protocol] = (
            coordinator,
            describe(names, include_authorized_operations=False),
        )
        requests["offsets", coordinator, consumer_protocol] = coordinator, _offsets_request(names)
    answers = connection.ask(requests)
    described: dict[str, Any] = {}
    offsets: dict[str, Any] = {}
    failures: dict[tuple[int, bool], KafkaError] = {}
    for (what, coordinator, consumer_protocol), answer in answers.items():
        if isinstance(answer, KafkaError):
            failures[coordinator, consumer_protocol] = answer
        else:
            (described if what == "members" else offsets).update({group.group_id: group for group in answer.groups})
    for group in groups:
        failure = failures.get((group.coordinator, group.consumer_protocol))
        if failure is not None:
            yield GroupReading(group.name, group.state, problem=_unanswered(group.coordinator, failure))
        else:
            yield _reading(group, described.get(group.name), offsets.get(group.name))


def _offsets_request(names: Sequence[str]) -> OffsetFetchRequest:
    group = OffsetFetchRequest.OffsetFetchRequestGroup
    # From version 10 on the answer has topics' ids in place of their names.
    return OffsetFetchRequest(groups=[group(name, topics=None) for name in names], min_version=8, max_version=9)


def _reading(group: ListedGroup, described: Any, offsets: Any) -> GroupReading:
    for answer in (described, offsets):
        if answer is None or answer.error_code:
            reason = "no answer" if answer is None else for_code(answer.error_code).__name__
            return GroupReading(group.name, group.state, problem=f"broker {group.coordinator} says {reason} of it")
    members = []
    owners: dict[TopicPartition, Member] = {}
    for found in described.members:
        member = Member(found.member_id, found.client_id, found.client_host.lstrip("/"))
        members.append(member)
        has = _assigned(found.assignment) if group.consumer_protocol else _classic_assigned(found.member_assignment)
        owners |= dict.fromkeys(has, member)
    committed = {
        TopicPartition(topic.name, partition.partition_index): partition.committed_offset
        for topic in offsets.topics
        for partition in topic.partitions
        if partition.committed_offset >= 0
    }
    return GroupReading(group.name, described.group_state, tuple(members), owners, committed)


def _assigned(assignment: Any) -> Iterable[TopicPartition]:
    for topic in assignment.topic_partitions:
        for partition in topic.partitions:
            yield TopicPartition(topic.topic_name, partition)


def _classic_assigned(assignment: bytes) -> Iterable[TopicPartition]:
    # Empty while the group rebalances; and an assignor of somebody's own may write what it likes.
    with suppress(struct.error, ValueError, IndexError):
        if assignment:
            for topic, partition in ConsumerProtocolAssignment.decode(bytes(assignment)).partitions():
                yield TopicPartition(topic, partition)


def _unanswered(broker: int, error: KafkaError) -> str:
    return f"its coordinator, broker {broker}, does not answer ({type(error).__name__})"
