"""The small parts: spreading over partitions, and the trace of a request."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from manyheads.producers.sender import EvenSpread
from manyheads.producers.trace import active_traceparent


@given(st.integers(1, 12), st.integers(1, 20))
def test_every_partition_gets_the_same(partitions: int, rounds: int) -> None:
    spread = EvenSpread()
    everyone = list(range(partitions))
    chosen = Counter(spread(None, everyone, everyone) for _ in range(partitions * rounds))
    assert chosen == dict.fromkeys(everyone, rounds)


def test_partitions_without_a_leader_are_left_out() -> None:
    spread = EvenSpread()
    assert {spread(None, [0, 1, 2, 3], [1, 3]) for _ in range(20)} == {1, 3}
    assert {spread(None, [0, 1], []) for _ in range(20)} == {0, 1}


def test_rings_that_take_turns_are_spread_too() -> None:
    spread = EvenSpread()
    chosen = [spread(None, [0, 1, 2, 3], [0, 1, 2, 3]) for _ in range(4_000)]
    assert all(350 < count < 650 for count in Counter(chosen[::2]).values())


def test_no_active_span_no_traceparent() -> None:
    assert active_traceparent() is None


@pytest.mark.parametrize(("sampled", "flags"), [(True, "01"), (False, "00")])
def test_the_active_span_is_the_parent(sampled: bool, flags: str) -> None:
    context = SpanContext(
        trace_id=0x0AF7651916CD43DD8448EB211C80319C,
        span_id=0x00F067AA0BA902B7,
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT),
    )
    with trace.use_span(NonRecordingSpan(context)):
        assert active_traceparent() == f"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-{flags}"
