"""docs/wire.md says what the code does."""

import re
from pathlib import Path

import pytest

from manyheads.topics.asyncapi import document
from manyheads.topics.errors import ErrorCode, error_for
from manyheads.topics.headers import CORRELATION_ID, DEADLINE, REPLY_PARTITION, REPLY_TOPIC, TENANT
from manyheads.topics.limits import MAX_HEADER_BYTES, MAX_TEXT_CHARACTERS
from manyheads.topics.messages import Reply, Request
from tests.golden.cases import ENVELOPE

PAGE = (Path(__file__).parents[3] / "docs" / "wire.md").read_text("utf-8")
SCHEMAS = document()["components"]["schemas"]


def hexadecimal(value: bytes) -> str:
    return value.hex(" ")


@pytest.mark.parametrize("kind", ["RequestHeaders", "ReplyHeaders"])
def test_the_headers_are_listed_as_they_are(kind: str) -> None:
    schema = SCHEMAS[kind]
    rows = [
        f"| `{name}` | {'yes' if name in schema['required'] else 'no'} "
        f"| {'bytes' if 'contentEncoding' in each else 'text'} | {each['description']} |"
        for name, each in schema["properties"].items()
    ]
    assert "\n".join(["|---|---|---|---|", *rows, "\n"]) in PAGE


def test_the_errors_are_listed_as_they_are() -> None:
    kinds: dict[type, list[str]] = {}
    for code in ErrorCode:
        kinds.setdefault(type(error_for(code, "")), []).append(f"`{code}`")
    rows = [f"| {', '.join(codes)} | {(kind.__doc__ or '').splitlines()[0]} |" for kind, codes in kinds.items()]
    assert "\n".join(["|---|---|", *rows, "\n"]) in PAGE


def test_the_request_is_these_bytes() -> None:
    shown = re.search(r"^ +82 .*?^\n", PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    found = re.findall(r"\b[0-9a-f]{2}\b", re.sub(r'a map of two|".*', "", shown[0]))
    assert " ".join(found) == hexadecimal(Request(text="move 40 euros to my savings").to_bytes())


def test_the_headers_are_these_bytes() -> None:
    lines = {line.split()[0]: line for line in PAGE.splitlines() if re.match(r" {4}(kafka_|tenant |deadline )", line)}
    sent = dict(ENVELOPE.to_headers())
    assert lines.keys() == {CORRELATION_ID, REPLY_TOPIC, REPLY_PARTITION, TENANT, DEADLINE}
    for name, line in lines.items():
        assert f"{hexadecimal(sent[name])} " in line + " "


def test_the_replies_have_these_fields() -> None:
    for name in (*Reply.model_fields, *SCHEMAS["Prediction"]["required"], *SCHEMAS["Failure"]["required"]):
        assert f'"{name}"' in PAGE
    for name in (
        *SCHEMAS["Intent"]["required"],
        *SCHEMAS["EntitySpan"]["required"],
        *SCHEMAS["Truncation"]["required"],
    ):
        assert f'"{name}"' in PAGE


def test_the_limits_are_these() -> None:
    assert f"at most {MAX_TEXT_CHARACTERS:,} characters" in PAGE
    assert f"more than {MAX_HEADER_BYTES:,} bytes" in PAGE
