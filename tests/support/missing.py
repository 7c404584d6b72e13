"""What a machine lacks: a laptop may skip the tests that need it, continuous integration may not."""

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str, advice: str) -> NoReturn:
    """Skip this test; with ``CI=true``, fail it."""
    message = f"this machine lacks {what}: {advice}"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(message)
    pytest.skip(message)


def program(*names: str, advice: str) -> str:
    """The path of the first of these programs that is there."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    return found or missing(names[0], advice)
