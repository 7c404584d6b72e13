"""The AsyncAPI document describes what the codec writes; the official schema has it in tests/examples."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import yaml
from hypothesis import given
from jsonschema import Draft7Validator

from manyheads.cli.asyncapi import rendered
from manyheads.topics import headers
from manyheads.topics.asyncapi import document
from manyheads.topics.catalogue import ring_topics, shared_topics
from manyheads.topics.errors import ErrorCode
from manyheads.topics.headers import DeadLetterReason, Envelope, Headers, reply_headers
from manyheads.topics.messages import Message, Reply, Request
from manyheads.topics.names import cell, ring
from manyheads.topics.registry import RegistryRecord
from tests.golden.cases import CASES, Case
from tests.unit.topics import strategies

DOCUMENT = document()
MESSAGES = [case for case in CASES if isinstance(case.expected, Message)]
TEXT_HEADERS = {
    headers.REPLY_TOPIC,
    headers.TENANT,
    headers.DEADLINE,
    headers.REQUESTED,
    headers.TRACEPARENT,
    headers.TRACESTATE,
    headers.CONTENT_TYPE_HEADER,
    headers.DEAD_LETTER_TOPIC,
    headers.DEAD_LETTER_CODE,
    headers.DEAD_LETTER_MESSAGE,
}


def validator(schema: str) -> Draft7Validator:
    """Checks values against one schema of the document."""
    return Draft7Validator({"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]})


def in_json(value: bytes) -> Any:
    """A msgpack value as the schemas describe it; not by our codec, so that nothing of ours stands between."""
    return _plain(msgpack.unpackb(value))


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case msgpack.ExtType():
            return base64.b64encode(value.data).decode()
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
    return value


def headers_in_json(found: Headers) -> dict[str, Any]:
    """A record's headers as the schemas describe them."""
    shown: dict[str, Any] = {}
    for name, value in found:
        text = value.decode() if name in TEXT_HEADERS else base64.b64encode(value).decode()
        if name == headers.TARGET:
            shown.setdefault(name, []).append(text)
        else:
            shown[name] = text
    return shown


def references(node: Any) -> Iterator[str]:
    """All references anywhere below ``node``."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.name)
def test_golden_messages_are_what_the_schemas_say(case: Case) -> None:
    check = validator(type(case.expected).__name__)
    value = in_json(case.path.read_bytes())
    check.validate(value)
    for broken in (value | {"v": 99}, {name: each for name, each in value.items() if name != "v"}, [value]):
        assert not check.is_valid(broken)


@given(strategies.messages | strategies.registry_records)
def test_any_message_is_what_its_schema_says(message: Message | RegistryRecord) -> None:
    value = in_json(message.to_bytes())
    refused = isinstance(message, Request) and not message.text
    assert validator(type(message).__name__).is_valid(value) is not refused


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ("Request", {"v": 1, "text": "a" * 8_193}),
        ("Request", {"v": 1}),
        ("Reply", {"v": 1}),
        ("Reply", {"v": 1, "prediction": None}),
        ("Prediction", {"intents": []}),
        ("StageTiming", [1]),
        ("StageTiming", [1.5, 2]),
        ("PlacementRecord", {"v": 1, "kind": "placement", "ring": "en", "tenant": "No Name", "cell": "c0"}),
        ("Embedding", {"v": 1, "s": "a", "e": "b", "w": "all:1", "x": "", "t": [1, 2]}),
    ],
)
def test_what_a_worker_would_refuse_is_refused(schema: str, wrong: Any) -> None:
    assert not validator(schema).is_valid(wrong)


def test_a_reply_is_never_both() -> None:
    both: dict[str, Any] = {"v": 1}
    for case in MESSAGES:
        if isinstance(case.expected, Reply):
            both |= in_json(case.path.read_bytes())
    assert {"prediction", "failure"} < both.keys()
    assert not validator("Reply").is_valid(both)


@given(strategies.envelopes)
def test_a_requests_headers_are_what_the_schemas_say(envelope: Envelope) -> None:
    shown = headers_in_json(envelope.to_headers())
    validator("SharedRequestHeaders" if envelope.further else "RequestHeaders").validate(shown)
    validator("EmbeddingHeaders").validate(headers_in_json(envelope.for_each()[0].to_headers()))
    for required in (headers.CORRELATION_ID, headers.REPLY_TOPIC, headers.TENANT):
        assert not validator("RequestHeaders").is_valid({name: shown[name] for name in shown if name != required})
    assert shown.keys() <= DOCUMENT["components"]["schemas"]["SharedRequestHeaders"]["properties"].keys() | {
        headers.REQUESTED
    }


@given(strategies.envelopes, strategies.reasons)
def test_a_replys_and_a_dead_letters_headers_are_what_the_schemas_say(
    envelope: Envelope, reason: DeadLetterReason
) -> None:
    validator("ReplyHeaders").validate(headers_in_json(reply_headers(envelope.reply, envelope.traceparent)))
    validator("DeadLetterHeaders").validate(headers_in_json((*envelope.to_headers(), *reason.to_headers())))


def test_every_topic_is_a_channel() -> None:
    addresses = {
        (channel["address"] or "").format(ring="en", cell="c0"): channel for channel in DOCUMENT["channels"].values()
    }
    topics = (*shared_topics(), *ring_topics(ring("en"), [cell("c0")]))
    assert addresses.keys() - {""} == {topic.name for topic in topics}
    for topic in topics:
        assert addresses[topic.name]["bindings"]["kafka"]["partitions"] == topic.partitions


def test_every_request_is_answered_where_it_says() -> None:
    asked = [each for each in DOCUMENT["operations"].values() if "requests" in each["channel"]["$ref"]]
    received = [each for each in asked if each["action"] == "receive"]
    assert len(received) == 2  # lanes
    for operation in received:
        location = operation["reply"]["address"]["location"]
        assert location == "$message.header#/kafka_replyTopic"


def test_every_error_code_is_named() -> None:
    known, other = DOCUMENT["components"]["schemas"]["ErrorCode"]["anyOf"]
    assert set(known["enum"]) == {code.value for code in ErrorCode}
    assert other["type"] == "string"


def test_references_lead_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert found
    for each in found:
        node: Any = DOCUMENT
        for part in each.removeprefix("#/").split("/"):
            node = node[part]


def test_examples_are_messages() -> None:
    for name, message in DOCUMENT["components"]["messages"].items():
        for example in message.get("examples", ()):
            validator(name).validate(example["payload"])
            (Request if name == "Request" else Reply).from_fields(example["payload"])


def test_the_page_in_the_documentation_is_this_document() -> None:
    page = Path(__file__).parents[3] / "docs" / "asyncapi.yaml"
    assert page.read_text("utf-8") == rendered(as_json=False), (
        "topics/ has changed: run `manyheads asyncapi --out docs/asyncapi.yaml` and commit the file"
    )
    assert yaml.safe_load(rendered(as_json=True)) == yaml.safe_load(page.read_text("utf-8")) == DOCUMENT
