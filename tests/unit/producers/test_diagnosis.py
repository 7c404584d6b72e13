"""What the client says when it must give up: how far the request came, and what to look at."""

import pytest

from manyheads.producers.calls import Call, CallTable, Phase
from manyheads.producers.diagnosis import Connection, access_denied, expired, missing_topic
from manyheads.topics.catalogue import ring_topics, shared_topics
from manyheads.topics.errors import BrokerError, DeadlineExceeded, ErrorCode, RoutingError
from manyheads.topics.names import Lane, cell, ring
from tests.unit.producers.calls import opened_call

SERVERS = "broker-7:9092"
QUIET = Connection(SERVERS, heard=0.0)
TALKING = Connection(SERVERS, heard=101.0)


def call_in(phase: Phase, timeout: float = 5.0) -> Call:
    call = opened_call(CallTable(b"12345678", 1, 1), opened=100.0, timeout=timeout)
    call.dispatch.phase = phase
    return call


def test_accepted_but_unanswered_points_at_the_workers() -> None:
    error = expired(call_in(Phase.ACCEPTED), QUIET, 10)
    assert isinstance(error, DeadlineExceeded)
    for hint in ("accepted", "within 5 s", "encoder worker of ring 'en'", "cell of 'acme-bank'", "nlu.en.requests"):
        assert hint in error.message
    assert error.details == {"phase": "accepted", "timeout_ms": 5000, "ring": "en", "tenant": "acme-bank"}


def test_waiting_for_a_slot_points_at_the_load() -> None:
    error = expired(call_in(Phase.WAITING), TALKING, 10_000)
    assert isinstance(error, DeadlineExceeded)
    assert "not sent" in error.message
    assert "10,000 requests are in flight" in error.message


@pytest.mark.parametrize("phase", [Phase.READY, Phase.SENT])
def test_silence_since_the_call_means_an_unreachable_broker(phase: Phase) -> None:
    error = expired(call_in(phase), Connection(SERVERS, heard=99.0, trouble="NodeNotReadyError"), 10)
    assert isinstance(error, BrokerError)
    assert error.code is ErrorCode.BROKER_UNREACHABLE
    assert SERVERS in error.message
    assert "NodeNotReadyError" in error.message


def test_a_broker_that_talks_is_not_called_unreachable() -> None:
    error = expired(call_in(Phase.SENT), TALKING, 10)
    assert error.code is ErrorCode.DEADLINE_EXCEEDED
    assert "had not acknowledged" in error.message


def test_a_tiny_timeout_proves_nothing_about_the_broker() -> None:
    assert expired(call_in(Phase.SENT, timeout=0.01), QUIET, 10).code is ErrorCode.DEADLINE_EXCEEDED


def test_a_refusal_names_the_topic() -> None:
    error = access_denied(SERVERS, "nlu.en.requests", "TopicAuthorizationFailedError")
    assert error.code is ErrorCode.ACCESS_DENIED
    assert "nlu.en.requests" in error.message


def topics_of(*rings: str) -> list[str]:
    specs = shared_topics() + tuple(spec for each in rings for spec in ring_topics(ring(each), [cell("c0")]))
    return [spec.name for spec in specs]


@pytest.mark.parametrize("lane", Lane)
def test_nothing_is_missing_where_the_catalogue_is(lane: Lane) -> None:
    assert missing_topic(topics_of("en", "fr"), ring("fr"), lane) is None


def test_an_unknown_ring_lists_the_known_ones() -> None:
    error = missing_topic(topics_of("fr", "en"), ring("de"), Lane.INTERACTIVE)
    assert isinstance(error, RoutingError)
    assert error.code is ErrorCode.UNKNOWN_RING
    assert "the rings of this lane are en, fr" in error.message
    assert "--ring de" in error.message


@pytest.mark.parametrize("topics", [[], ["orders", "payments"], ["nlu.en.c0.embeddings"]])
def test_an_empty_cluster_lacks_topics(topics: list[str]) -> None:
    error = missing_topic(topics, ring("en"), Lane.INTERACTIVE)
    assert isinstance(error, BrokerError)
    assert error.code is ErrorCode.TOPICS_MISSING
    assert "`manyheads topics create --ring en`" in error.message


def test_a_ring_without_the_reply_topic_lacks_it() -> None:
    error = missing_topic(["nlu.en.requests"], ring("en"), Lane.INTERACTIVE)
    assert error is not None
    assert error.details["topic"] == "nlu.replies"


def test_the_other_lane_is_another_topic() -> None:
    error = missing_topic(["nlu.en.requests", "nlu.replies"], ring("en"), Lane.BATCH)
    assert error is not None
    assert error.code is ErrorCode.TOPICS_MISSING
    assert error.details["topic"] == "nlu.en.requests.batch"
