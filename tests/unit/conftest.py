"""What all unit tests share."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from manyheads.infra.settings import ENV_PREFIX

# A time limit per example would make a slow machine fail a correct test.
settings.register_profile("manyheads", deadline=None)
settings.load_profile("manyheads")


@pytest.fixture
def root_logger_as_it_was() -> Iterator[None]:
    """For a test that runs a program's main, which configures logging."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers = handlers


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from the environment that the tests run in."""
    for name in [each for each in os.environ if each.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)
