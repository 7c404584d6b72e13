"""No tenant's text is in anything that is said of its requests, whatever becomes of them.

Workers log at DEBUG here, are traced whole, and are sent what no SDK would send.
"""

import json
import logging
import subprocess
import sys
import urllib.request

import msgpack
import pytest
from confluent_kafka import Consumer, TopicPartition

from manyheads.infra.telemetry.aggregate import LaneKey
from manyheads.infra.telemetry.reports import ReportReader
from manyheads.producers import Client
from manyheads.topics.errors import ManyheadsError
from manyheads.topics.headers import DEADLINE, Envelope, Headers, ReplyAddress
from manyheads.topics.names import REPLIES_TOPIC, TELEMETRY_TOPIC, Lane, embeddings_topic, requests_topic
from tests.broker.pipelines import C0, EN, PLAIN, SHOP, Pipelines
from tests.broker.raw_records import RawRecords, with_header
from tests.support.load import wait_until

MARKER = "xylophonequartz"

HOSTILE_REQUESTS = (
    MARKER.encode(),
    msgpack.packb({"v": 1, "text": f"{MARKER} and more"})[:-3],
    msgpack.packb({"v": 1, "text": MARKER}) + MARKER.encode(),
    msgpack.packb([MARKER]),
    msgpack.packb({"v": 99, "text": MARKER}),
    msgpack.packb({"v": 1, "text": [MARKER]}),
    msgpack.packb({"v": 1, "text": {MARKER: MARKER}}),
    msgpack.packb({"v": 1, MARKER: MARKER}),
    msgpack.packb({"v": 1, "text": f"{MARKER} " * 1_000}),
    msgpack.packb({"v": 1, "text": f"{MARKER}\x00"}),
    b"\x82\xa1v\x01\xa4text" + bytes([0xA0 | len(MARKER) + 1]) + MARKER.encode() + b"\xff",
)
HOSTILE_EMBEDDINGS = (
    MARKER.encode(),
    msgpack.packb({"v": 1, "text": MARKER}),
    msgpack.packb({"v": 1, "x": [MARKER], "space": {MARKER: MARKER}, "words": MARKER}),
)


def test_a_marker_in_every_hostile_value() -> None:
    assert all(MARKER.encode() in value for value in (*HOSTILE_REQUESTS, *HOSTILE_EMBEDDINGS))


async def test_no_text_of_a_tenant_is_in_anything_that_is_said_of_it(
    pipelines: Pipelines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="manyheads")
    sound = f"please {MARKER} my order"
    async with Client(pipelines.stack.settings) as client:
        for tenant in (SHOP.tenant, PLAIN.tenant):
            await client.predict(tenant, sound, timeout=60)
        refused = ((SHOP.tenant, f"{MARKER} \ud800"), (SHOP.tenant, f"{MARKER} " * 1_000), ("nobody-at-all", sound))
        for who, text in refused:
            with pytest.raises(ManyheadsError) as caught:
                await client.predict(who, text, timeout=60)
            assert MARKER not in f"{caught.value} {caught.value!r} {caught.value.details}"
    reasons = [*dead_letters_of_requests(pipelines), *dead_letters_of_embeddings(pipelines)]
    assert len(reasons) == len(HOSTILE_REQUESTS) + len(HOSTILE_EMBEDDINGS)

    lines = [json.loads(line) for log in logs(pipelines) for line in log.splitlines()]
    said = {line["event"] for line in lines}
    assert {"worker_ready", "head_loaded", "encoder_loaded", "metrics_served"} <= said
    assert "debug" in {line["level"] for line in lines}
    assert MARKER not in "".join(logs(pipelines))
    assert MARKER not in "".join(pages(pipelines))
    assert MARKER not in caplog.text
    assert not [header for reason in reasons for header in reason if MARKER.encode() in header[1]]
    values = reports(pipelines)
    assert SHOP.tenant.encode() in b"".join(values)
    assert MARKER.encode() not in b"".join(values)
    traced = {span.attributes["manyheads.tenant"] for span in pipelines.collector.spans if span.name[:7] == "process"}
    assert {SHOP.tenant, PLAIN.tenant, "nobody-at-all"} <= traced
    assert MARKER.encode() not in b"".join(pipelines.collector.bodies)


@pytest.mark.parametrize("who", [SHOP.tenant, "nobody-at-all"])
def test_the_command_line_says_no_text_but_in_an_answer(pipelines: Pipelines, who: str) -> None:
    command = [sys.executable, "-m", "manyheads.cli", "ask", who, f"please {MARKER} my order", "--json"]
    where = ["-b", pipelines.stack.settings.bootstrap_servers, "--timeout", "60"]
    done = subprocess.run([*command, *where], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (who == SHOP.tenant), done.stderr
    assert MARKER not in done.stderr
    if done.returncode == 0:
        answer = json.loads(done.stdout)
        assert MARKER not in json.dumps({name: value for name, value in answer.items() if name != "entities"})


def dead_letters_of_requests(pipelines: Pipelines) -> list[Headers]:
    """The headers of the dead letters that the hostile requests became; one more has expired on its way."""
    with RawRecords(pipelines.stack.settings, requests_topic(EN)) as records:
        expired = with_header(envelope(b"expired").to_headers(), (DEADLINE, b"1"))
        records.send(msgpack.packb({"v": 1, "text": MARKER}), expired)
        offsets = [records.send(value, envelope(b"%d" % n).to_headers()) for n, value in enumerate(HOSTILE_REQUESTS)]
        found = [records.dead_letter(offset).headers for offset in offsets]
        failures = [records.reply(b"%d" % n).failure for n in range(len(HOSTILE_REQUESTS))]
    assert not [failure for failure in failures if failure is None or MARKER in failure.model_dump_json()]
    return found


def dead_letters_of_embeddings(pipelines: Pipelines) -> list[Headers]:
    """The same at the next stage."""
    with RawRecords(pipelines.stack.settings, embeddings_topic(EN, C0)) as records:
        headers = envelope(b"embedding").to_headers()
        offsets = [records.send(value, headers, key=SHOP.tenant.encode()) for value in HOSTILE_EMBEDDINGS]
        return [records.dead_letter(offset).headers for offset in offsets]


def envelope(correlation_id: bytes) -> Envelope:
    return Envelope(SHOP.tenant, ReplyAddress(correlation_id, REPLIES_TOPIC, 0))


def logs(pipelines: Pipelines) -> list[str]:
    found = [path.read_text() for path in pipelines.stack.workers.folder.glob("*.log")]
    assert len(found) >= 5
    return found


def pages(pipelines: Pipelines) -> list[str]:
    """All that the workers serve, where they serve it now: one that was started again did so elsewhere before."""
    events = [[json.loads(line) for line in log.splitlines()] for log in logs(pipelines)]
    ports = [[line["port"] for line in log if line["event"] == "metrics_served"][-1] for log in events]
    return [
        urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=60).read().decode()
        for port in ports
        for page in ("metrics", "readyz", "healthz")
    ]


def reports(pipelines: Pipelines) -> list[bytes]:
    """All reports so far, as they were written, once the hostile records are in one."""
    lane = LaneKey(EN, "encoder", None, Lane.INTERACTIVE)

    def reported(reader: ReportReader) -> int:
        lanes = reader.query(lambda reports, now: reports.lanes(now, 900_000))
        return sum(lanes[lane].dead_letters.values()) if lane in lanes else 0

    with ReportReader(pipelines.stack.settings) as reader:
        wait_until(lambda: reported(reader) >= len(HOSTILE_REQUESTS))
    consumer = Consumer({**pipelines.stack.settings.confluent(), "group.id": "marker", "enable.partition.eof": True})
    consumer.assign([TopicPartition(TELEMETRY_TOPIC, 0, 0)])
    values: list[bytes] = []
    ended = False
    while not ended:
        for message in consumer.consume(500, 1.0):
            ended = ended or message.error() is not None
            values += [message.value() or b""] if message.error() is None else []
    consumer.close()
    return values
