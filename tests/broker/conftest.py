"""What the broker tests share; the broker itself is in tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.broker.pipelines import Pipelines


@pytest.fixture(scope="package")
def pipelines() -> Iterator[Pipelines]:
    """Whole pipelines on a broker of their own, shared by the end-to-end tests."""
    from tests.broker.pipelines import running_pipelines  # only these tests need the models' libraries

    with running_pipelines() as running:
        yield running
