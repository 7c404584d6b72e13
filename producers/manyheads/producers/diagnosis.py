"""What went wrong, and what to look at: the errors that the client itself raises. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from manyheads.producers.calls import Call, Phase
from manyheads.topics.errors import BrokerError, DeadlineExceeded, ErrorCode, ManyheadsError, RoutingError
from manyheads.topics.names import REPLIES_TOPIC, Lane, RingName, parse_stage_topic, requests_topic

_TOO_SHORT_TO_TELL_S = 0.25
"""A broker may well be silent for so long."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What the client knows of its connection to Kafka."""

    servers: str
    heard: float
    """when the broker last said something, seconds of the client's clock"""
    trouble: str | None = None
    """the last error that a Kafka client reported"""


def expired(call: Call, connection: Connection, max_in_flight: int) -> ManyheadsError:
    """Why ``call`` got no answer before its deadline, by how far it came."""
    timeout = call.deadline - call.opened
    within = f"within {timeout:.3g} s"
    details: dict[str, str | int] = {
        "phase": call.phase.name.lower(),
        "timeout_ms": round(timeout * 1000),
        "ring": call.ring,
        "tenant": call.tenant,
    }
    match call.phase:
        case Phase.ACCEPTED:
            return DeadlineExceeded(
                ErrorCode.DEADLINE_EXCEEDED,
                f"Kafka accepted the request, but nobody answered {within}: is an encoder worker of ring {call.ring!r} "
                f"running, and a head worker of the cell of {call.tenant!r}? Look at the consumer lag of "
                f"{call.dispatch.topic} and of the ring's embeddings topics{_because(connection)}",
                **details,
            )
        case Phase.WAITING:
            return DeadlineExceeded(
                ErrorCode.DEADLINE_EXCEEDED,
                f"the request was not sent: no slot came free {within}, as {max_in_flight:,} requests are in flight; "
                "send slower, add workers, or raise max_in_flight",
                **details,
            )
    if timeout < _TOO_SHORT_TO_TELL_S or connection.heard > call.opened:
        return DeadlineExceeded(
            ErrorCode.DEADLINE_EXCEEDED,
            f"Kafka at {connection.servers} had not acknowledged the request {within}: it is slow, or the timeout is "
            f"too short{_because(connection)}",
            **details,
        )
    return unreachable(connection, timeout, **details)


def unreachable(connection: Connection, seconds: float, **details: str | int) -> BrokerError:
    """Kafka is away, or does not take us for one of its clients."""
    return BrokerError(
        ErrorCode.BROKER_UNREACHABLE,
        f"Kafka at {connection.servers} could not be reached within {seconds:.3g} s: is it running, is the address "
        f"right, do the security settings fit? The log of aiokafka has each attempt{_because(connection)}",
        servers=connection.servers,
        **details,
    )


def access_denied(servers: str, topic: str, refusal: str | None) -> BrokerError:
    """Kafka knows us and says no."""
    return BrokerError(
        ErrorCode.ACCESS_DENIED,
        f"Kafka at {servers} does not let this client use {topic}: grant it the access ({refusal})",
        servers=servers,
        topic=topic,
    )


def missing_topic(topics: Iterable[str], ring: RingName, lane: Lane) -> ManyheadsError | None:
    """What is wrong with a cluster that has these topics, for requests to ``ring``; None if nothing is."""
    found = set(topics)
    topic = requests_topic(ring, lane)
    if topic in found and REPLIES_TOPIC in found:
        return None
    stages = filter(None, map(parse_stage_topic, found))
    rings = sorted({stage.ring for stage in stages if stage.cell is None and stage.lane is lane})
    if rings and ring not in rings:
        return RoutingError(
            ErrorCode.UNKNOWN_RING,
            f"there is no ring {ring!r}, as the topic {topic} does not exist; the rings of this lane are "
            f"{', '.join(rings)}. To add one: `manyheads topics create --ring {ring}`",
            ring=ring,
            lane=lane.value,
            known=",".join(rings)[:500],
        )
    missing = REPLIES_TOPIC if topic in found else topic
    return BrokerError(
        ErrorCode.TOPICS_MISSING,
        f"this Kafka cluster has no topic {missing}: `manyheads topics create --ring {ring}` creates what is missing "
        "(or is it the wrong cluster, or may this client not see the topic?)",
        topic=missing,
        ring=ring,
    )


def _because(connection: Connection) -> str:
    return f"; the last trouble: {connection.trouble}" if connection.trouble else ""
