"""What the tests of the embedded broker share."""

import pytest

from tests.support.kafka import embedded


@pytest.fixture(scope="session", autouse=True)
def jars() -> None:
    """Where there are none and no network, these tests skip as those of tests/broker do."""
    embedded()
