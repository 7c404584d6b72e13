"""What it means for a record that its result or its reply could not be written."""

from dataclasses import dataclass

from manyheads.infra.kafka.records import Outgoing
from manyheads.infra.kafka.transport import PublishFailure
from manyheads.infra.stage.tickets import Publication, Purpose
from manyheads.topics.errors import BrokerError, ErrorCode, ManyheadsError, WireError
from manyheads.topics.headers import REPLY_TOPIC


@dataclass(frozen=True, slots=True)
class Verdict:
    """A record's failure, which holds however often it is taken again."""

    error: ManyheadsError
    reachable: bool
    """whether the sender can be told"""
    bare: bool = False
    """whether only a dead letter without the record can be written"""


def verdict_of(publication: Publication, failure: PublishFailure) -> Verdict:
    """The failure of a record whose result or failure reply was too large or refused."""
    outgoing = publication.outgoing
    is_result = publication.purpose is Purpose.RESULT
    if failure is PublishFailure.TOO_LARGE:
        return Verdict(_too_large(outgoing), reachable=is_result)
    if is_result and outgoing.key is not None:
        return Verdict(_no_next_topic(outgoing), reachable=True)
    return Verdict(_no_reply_topic(outgoing), reachable=False)


def _too_large(outgoing: Outgoing) -> WireError:
    size = len(outgoing.value or b"")
    return WireError(
        ErrorCode.MESSAGE_TOO_LARGE,
        f"the result has {size:,} bytes, more than {outgoing.topic} takes; shorten the text",
        bytes=size,
    )


def _no_next_topic(outgoing: Outgoing) -> BrokerError:
    return BrokerError(
        ErrorCode.TOPICS_MISSING,
        f"{outgoing.topic} cannot be written to; create the topics of its ring and cell, "
        "and let the worker write to them",
        topic=outgoing.topic,
    )


def _no_reply_topic(outgoing: Outgoing) -> WireError:
    where = outgoing.topic if outgoing.partition is None else f"{outgoing.topic}, partition {outgoing.partition}"
    return WireError(
        ErrorCode.INVALID_HEADER,
        f"the header {REPLY_TOPIC} names {where}, which cannot be written to; does it exist?",
        header=REPLY_TOPIC,
    )
