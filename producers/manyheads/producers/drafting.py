"""From a caller's arguments to a record: what one text becomes for one tenant, or for many."""

from collections.abc import Sequence
from dataclasses import dataclass

from manyheads.producers.calls import Call, Dispatch, Finish
from manyheads.topics.headers import Envelope, ReplyAddress, Target
from manyheads.topics.messages import Request, SharedRequest
from manyheads.topics.names import REPLIES_TOPIC, RingName, TenantName


@dataclass(frozen=True, slots=True)
class Terms:
    """What all calls of one record have in common, checked."""

    text: str
    ring: RingName
    topic: str
    opened: float
    """seconds of the client's clock, as ``deadline``"""
    deadline: float
    deadline_ms: int
    """the same on the wall's clock, milliseconds since the epoch"""
    traceparent: str | None

    def call(self, correlation_id: bytes, tenant: TenantName, finish: Finish) -> Call:
        """One tenant's call."""
        return Call(correlation_id, tenant, self.ring, self.text, self.opened, self.deadline, finish)

    def dispatch(self, calls: Sequence[Call], reply_partition: int) -> Dispatch:
        """The record that makes these calls, at most ``MAX_TARGETS``."""
        first, *others = calls
        envelope = Envelope(
            tenant=first.tenant,
            reply=ReplyAddress(first.correlation_id, REPLIES_TOPIC, reply_partition),
            deadline_ms=self.deadline_ms,
            traceparent=self.traceparent,
            further=tuple(Target(each.tenant, each.correlation_id) for each in others),
        )
        message = SharedRequest(text=self.text) if others else Request(text=self.text)
        return Dispatch(self.topic, message.to_bytes(), envelope.to_headers(), tuple(calls))
