"""The code in the SDK's documentation and docstrings runs as it stands, but for the address and the ring."""

import ast
import asyncio
import inspect
import re
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from manyheads import producers
from manyheads.infra.settings import KafkaSettings
from manyheads.producers import testing
from manyheads.topics.names import RingName
from tests.broker.sdk_responder import responding
from tests.conftest import TEST_PARTITIONS

ROOT = Path(__file__).parents[2]
PAGES = ("producers/README.md", "docs/sdk.md", "docs/configuration.md", "README.md")
DOCUMENTED = (producers, testing, producers.Client, producers.SyncClient)
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> Iterator[tuple[str, str]]:
    """(where, code) of every Python block that uses the SDK."""
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        for match in _BLOCK.finditer(text):
            if "manyheads.producers" in match[1]:
                yield f"{page}:{text.count(chr(10), 0, match.start()) + 1}", match[1]


def docstrings() -> Iterator[tuple[str, str]]:
    """(where, code) of every example in a docstring: what is indented behind two colons, and the imports it needs."""
    imports = "from manyheads.producers import *\nfrom manyheads.producers.testing import *\n"
    for each in DOCUMENTED:
        for match in re.finditer(r"::\n\n((?: {4}.*\n|\n)+)", f"{inspect.getdoc(each)}\n"):
            yield each.__name__, imports + textwrap.dedent(match[1])


CODE = dict(blocks()) | dict(docstrings())


def test_there_is_code_in_all_of_them() -> None:
    found = {where.split(":")[0] for where in CODE}
    assert found >= {"producers/README.md", "docs/sdk.md", "docs/configuration.md"}
    assert found >= {each.__name__ for each in DOCUMENTED}


@pytest.mark.parametrize("where", CODE)
async def test_documented_code_runs(where: str, kafka_settings: KafkaSettings, ring: RingName) -> None:
    code = CODE[where].replace("localhost:9092", kafka_settings.bootstrap_servers)
    code = re.sub(r'Client\(("[^"]+"|settings)', rf'Client(\1, ring="{ring}"', code)
    compiled = compile(code, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with responding(kafka_settings, ring, TEST_PARTITIONS.requests):
        # Code without await runs as it is called, and waits: not in the event loop that the responder needs.
        running = await asyncio.to_thread(types.FunctionType(compiled, {"__name__": "documentation"}))
        if running is not None:
            await running
