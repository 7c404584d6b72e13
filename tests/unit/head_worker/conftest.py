"""Heads that the tests of this folder share, trained once."""

import pytest

from manyheads.head_worker import Head
from manyheads.head_worker.training import TrainedHead, fit_head
from tests.unit.head_worker.school import POOLED, lessons


@pytest.fixture(scope="session")
def tagged() -> TrainedHead:
    """A head with intents and entities."""
    return fit_head(lessons(140))


@pytest.fixture(scope="session")
def plain() -> TrainedHead:
    """A head with intents alone, of the pooled view."""
    return fit_head(lessons(140, view=POOLED, entities=False))


@pytest.fixture(scope="session")
def tagged_head(tagged: TrainedHead) -> Head:
    return Head.load(tagged.model)


@pytest.fixture(scope="session")
def plain_head(plain: TrainedHead) -> Head:
    return Head.load(plain.model)
