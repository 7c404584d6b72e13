"""What needs Prometheus; a machine without it may skip, the continuous integration may not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.kafka import NewKafka

if TYPE_CHECKING:
    from tests.prometheus.live_stack import Live


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own tool."""
    return _program("promtool")


@pytest.fixture(scope="package")
def live(new_kafka: NewKafka) -> Iterator[Live]:
    """A small stack that was asked, and the Prometheus that scrapes it; made once."""
    program = _program("prometheus")
    from tests.prometheus.live_stack import running_live  # only these tests need the models' libraries

    with new_kafka() as kafka, running_live(program, kafka) as running:
        yield running


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"no {name}: apt-get install prometheus")
        pytest.skip(f"no {name} on this machine")
    return found
