"""What needs Prometheus; a machine without it may skip, the continuous integration may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.kafka import NewKafka
from tests.support.missing import program

if TYPE_CHECKING:
    from tests.prometheus.live_stack import Live

ADVICE = "apt-get install prometheus"


@pytest.fixture(scope="session")
def promtool() -> str:
    """Prometheus' own tool."""
    return program("promtool", advice=ADVICE)


@pytest.fixture(scope="package")
def live(new_kafka: NewKafka) -> Iterator[Live]:
    """A small stack that was asked, and the Prometheus that scrapes it; made once."""
    prometheus = program("prometheus", advice=ADVICE)
    from tests.prometheus.live_stack import running_live  # only these tests need the models' libraries

    with new_kafka() as kafka, running_live(prometheus, kafka) as running:
        yield running
