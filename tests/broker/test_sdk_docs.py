"""The code in the SDK's documentation runs as it stands, but for the address and the ring."""

import ast
import re
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from manyheads.infra.settings import KafkaSettings
from manyheads.topics.names import RingName
from tests.broker.sdk_responder import responding
from tests.conftest import TEST_PARTITIONS

ROOT = Path(__file__).parents[2]
PAGES = ("producers/README.md", "docs/sdk.md", "README.md")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> Iterator[tuple[str, str]]:
    """(where, code) of every Python block that uses the SDK."""
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        for match in _BLOCK.finditer(text):
            if "manyheads.producers" in match[1]:
                yield f"{page}:{text.count(chr(10), 0, match.start()) + 1}", match[1]


CODE = dict(blocks())


def test_there_is_code_in_both_pages() -> None:
    assert {where.split(":")[0] for where in CODE} >= {"producers/README.md", "docs/sdk.md"}


@pytest.mark.parametrize("where", CODE)
async def test_documented_code_runs(where: str, kafka_settings: KafkaSettings, ring: RingName) -> None:
    code = CODE[where].replace("localhost:9092", kafka_settings.bootstrap_servers)
    code = re.sub(r'Client\(("[^"]+"|settings)', rf'Client(\1, ring="{ring}"', code)
    compiled = compile(code, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with responding(kafka_settings, ring, TEST_PARTITIONS.requests):
        running = types.FunctionType(compiled, {"__name__": "documentation"})()
        if running is not None:  # code without await runs as it is called
            await running
