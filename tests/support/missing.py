"""What a machine lacks: a laptop may skip the tests that need it, continuous integration may not."""

import os
from typing import NoReturn

import pytest


def missing(what: str, advice: str) -> NoReturn:
    """Skip this test; with ``CI=true``, fail it."""
    message = f"this machine lacks {what}: {advice}"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(message)
    pytest.skip(message)
