"""Writing the AsyncAPI document."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from manyheads.topics.asyncapi import document
from manyheads.topics.errors import ErrorCode, InvalidRequest

_HEADER = "# Made from topics/ by `manyheads asyncapi`: edit those modules, not this file.\n"


class _PlainYaml(yaml.SafeDumper):
    """YAML in which nothing refers to anything: what is there twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def rendered(*, as_json: bool, indent: int | None = None) -> str:
    """The document as text: JSON on one line, unless it is indented."""
    if as_json:
        return json.dumps(document(), indent=indent, ensure_ascii=False) + "\n"
    return _HEADER + yaml.dump(document(), Dumper=_PlainYaml, sort_keys=False, allow_unicode=True, width=120)


def run_asyncapi(out: Path | None, *, as_json: bool) -> None:
    """Write the document to ``out``, for people to read and compare, else to standard output. Raises InvalidRequest."""
    if out is None:
        sys.stdout.write(rendered(as_json=as_json))
    else:
        _write(out, rendered(as_json=as_json or out.suffix == ".json", indent=2))


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise InvalidRequest(
            ErrorCode.INVALID_ARGUMENT,
            f"--out {out}: it cannot be written ({error.strerror or error}); name a file in a folder that is there and "
            "yours to write",
            out=str(out),
            errno=error.errno,
        ) from error
