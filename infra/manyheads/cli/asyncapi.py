"""Writing the AsyncAPI document."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from manyheads.topics.asyncapi import document

_HEADER = "# Made from topics/ by `manyheads asyncapi`: edit those modules, not this file.\n"


class _PlainYaml(yaml.SafeDumper):
    """YAML in which nothing refers to anything: what is there twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def rendered(*, as_json: bool) -> str:
    """The document as text."""
    if as_json:
        return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    return _HEADER + yaml.dump(document(), Dumper=_PlainYaml, sort_keys=False, allow_unicode=True, width=120)


def run_asyncapi(out: Path | None, *, as_json: bool) -> None:
    """Write the document to ``out``, else to standard output."""
    text = rendered(as_json=as_json or (out is not None and out.suffix == ".json"))
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, "utf-8")
