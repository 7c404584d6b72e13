"""Calls for tests of the pure parts."""

from manyheads.producers.calls import Call, CallTable, Finish, Outcome
from manyheads.topics.names import ring, tenant


def ignore(outcome: Outcome) -> None:
    """Wants no outcome."""


def new_call(table: CallTable, *, opened: float = 0.0, timeout: float = 10.0, finish: Finish = ignore) -> Call:
    """A call that can be opened next."""
    return Call(
        correlation_id=table.next_id(),
        tenant=tenant("acme-bank"),
        ring=ring("en"),
        text="what is my balance",
        topic="nlu.en.requests",
        value=b"value",
        headers=(),
        opened=opened,
        deadline=opened + timeout,
        finish=finish,
    )
