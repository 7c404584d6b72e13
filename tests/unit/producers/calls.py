"""Calls for tests of the pure parts."""

from manyheads.producers.calls import Call, CallTable, Dispatch, Finish, Outcome
from manyheads.topics.names import ring, tenant


def ignore(outcome: Outcome) -> None:
    """Wants no outcome."""


def new_dispatch(
    table: CallTable, count: int = 1, *, opened: float = 0.0, timeout: float = 10.0, finish: Finish = ignore
) -> Dispatch:
    """A dispatch of this many calls that can be opened next."""
    calls = tuple(
        Call(
            correlation_id=correlation_id,
            tenant=tenant("acme-bank"),
            ring=ring("en"),
            text="what is my balance",
            opened=opened,
            deadline=opened + timeout,
            finish=finish,
        )
        for correlation_id in table.next_ids(count)
    )
    return Dispatch("nlu.en.requests", b"value", (), calls)


def opened_call(table: CallTable, *, opened: float = 0.0, timeout: float = 10.0, finish: Finish = ignore) -> Call:
    """The call of a dispatch that was let in."""
    dispatch = new_dispatch(table, opened=opened, timeout=timeout, finish=finish)
    (call,) = dispatch.calls
    table.open(dispatch)
    return call
