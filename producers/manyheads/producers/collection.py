"""Reading the answer that a ticket is for."""

from dataclasses import dataclass

from manyheads.producers.answer import Answer, answer_to
from manyheads.producers.clock import Clock
from manyheads.producers.link import Link
from manyheads.producers.ticket import Ticket
from manyheads.topics.errors import DeadlineExceeded, ErrorCode, InvalidRequest
from manyheads.topics.messages import Reply


@dataclass(frozen=True, slots=True)
class Collection:
    """One ticket, and how long its holder waits."""

    ticket: Ticket
    text: str | None
    timeout: float
    """seconds"""

    def __post_init__(self) -> None:
        if self.text is not None and len(self.text) != self.ticket.characters:
            raise InvalidRequest(
                ErrorCode.INVALID_ARGUMENT,
                f"the ticket is for a text of {self.ticket.characters} characters and this one has {len(self.text)}",
                characters=len(self.text),
            )

    async def answer(self, link: Link, clock: Clock) -> Answer:
        """The answer, once it is there. Raises what ``Client.answer`` raises."""
        ticket = self.ticket
        until, gone = clock.now() + self.timeout, False
        replies = link.replies_from(ticket.lane, ticket.partition, ticket.offset, self.timeout)
        try:
            async for stretch in replies:
                gone = gone or stretch.gap
                for reply in stretch.replies:
                    if reply.correlation_id == ticket.correlation_id:
                        return self._read(reply.value, max(0, reply.timestamp_ms - ticket.sent_ms))
                if stretch.caught_up and clock.moment().now_ms >= ticket.deadline_ms:
                    raise self._never(gone)
                if clock.now() >= until:
                    break
        except TimeoutError:  # before Kafka was reached
            pass
        finally:
            await replies.aclose()
        raise DeadlineExceeded(
            ErrorCode.DEADLINE_EXCEEDED,
            f"the answer did not come within {self.timeout:.3g} s; the ticket is good until its deadline, so ask again",
            phase="pending",
            tenant=ticket.tenant,
            deadline_ms=ticket.deadline_ms,
        )

    def _read(self, value: bytes | None, latency_ms: float) -> Answer:
        reply = Reply.from_bytes(value)
        if reply.prediction is not None:
            return answer_to(self.ticket.tenant, self.text, reply.prediction, latency_ms)
        assert reply.failure is not None  # a reply has one of the two
        raise reply.failure.error()

    def _never(self, gone: bool) -> DeadlineExceeded:
        why = (
            "the reply topic has deleted what was written since: read answers sooner, or keep replies longer"
            if gone
            else "nobody answered before its deadline: is an encoder worker of its ring running, and a head worker?"
        )
        return DeadlineExceeded(
            ErrorCode.DEADLINE_EXCEEDED,
            f"there is no answer to this ticket, as {why}",
            phase="deleted" if gone else "accepted",
            tenant=self.ticket.tenant,
            deadline_ms=self.ticket.deadline_ms,
        )
