"""Which records become jobs."""

from dataclasses import replace

import pytest

from manyheads.infra.kafka.records import Record
from manyheads.infra.stage.admission import admit, reachable_senders, read_envelope
from manyheads.infra.stage.work import Job
from manyheads.topics.errors import DeadlineExceeded, ErrorCode, WireError
from manyheads.topics.headers import REPLY_TOPIC, TENANT, Envelope, Headers, ReplyAddress
from manyheads.topics.names import tenant

ENVELOPE = Envelope(tenant("acme-bank"), ReplyAddress(b"id", "nlu.replies", 3), deadline_ms=10_000)


def _record(headers: Headers, timestamp_ms: int = 9_000) -> Record:
    return Record("nlu.en.requests", 1, 42, timestamp_ms, None, b"value", headers)


def _admit(record: Record, now_ms: int) -> Job:
    return admit(record, read_envelope(record), now_ms)


def test_a_sound_record_is_a_job() -> None:
    record = _record(ENVELOPE.to_headers())
    job = _admit(record, 9_250)
    assert job.record is record
    assert job.envelope == replace(ENVELOPE, requested_ms=9_000)
    assert job.queue_ms == 250.0


def test_a_record_from_the_future_has_not_waited() -> None:
    assert _admit(_record(ENVELOPE.to_headers(), timestamp_ms=9_900), 9_250).queue_ms == 0.0


def test_at_its_deadline_a_record_is_expired_and_the_error_has_the_numbers() -> None:
    with pytest.raises(DeadlineExceeded) as error:
        _admit(_record(ENVELOPE.to_headers()), 10_005)
    assert error.value.details == {"late_ms": 5, "waited_ms": 1005}
    assert _admit(_record(ENVELOPE.to_headers()), 9_999)


def test_without_a_deadline_nothing_expires() -> None:
    assert _admit(_record(ENVELOPE.with_deadline(None).to_headers()), 10**12)


def test_a_missing_header_is_named_and_its_sender_still_known() -> None:
    record = _record(tuple(header for header in ENVELOPE.to_headers() if header[0] != TENANT))
    with pytest.raises(WireError) as error:
        _admit(record, 0)
    assert (error.value.code, error.value.details["header"]) == (ErrorCode.MISSING_HEADER, TENANT)
    assert reachable_senders(record) == (ENVELOPE.reply,)


@pytest.mark.parametrize(
    "topic",
    [
        "nlu.registry",
        "nlu.en.requests",
        "nlu.en.c0.embeddings.batch",
        "nlu.replies-dlt",
        "nlu.telemetry",
        "__consumer_offsets",
    ],
)
def test_nobody_makes_a_worker_write_to_the_pipelines_own_topics(topic: str) -> None:
    record = _record(Envelope(tenant("acme"), ReplyAddress(b"id", topic)).to_headers())
    with pytest.raises(WireError) as error:
        _admit(record, 0)
    assert (error.value.code, error.value.details["header"]) == (ErrorCode.INVALID_HEADER, REPLY_TOPIC)
    assert reachable_senders(record) == ()


def test_headers_that_name_nobody_reach_nobody() -> None:
    assert reachable_senders(_record(())) == ()


def test_when_a_request_was_made_is_what_its_own_record_says() -> None:
    claimed = replace(ENVELOPE, requested_ms=1)
    assert read_envelope(_record(claimed.to_headers())).requested_ms == 9_000
    embedding = Record("nlu.en.c0.embeddings", 1, 42, 9_500, None, b"value", claimed.to_headers())
    assert read_envelope(embedding).requested_ms == 1
    assert read_envelope(replace(embedding, headers=ENVELOPE.to_headers())).requested_ms is None
