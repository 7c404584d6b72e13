"""The stack of docker-compose.yml, brought up once for the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.support.compose import ComposeStack, needs_docker, running


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[ComposeStack]:
    """The stack, healthy, with the profiles that the module names in ``PROFILES``."""
    needs_docker()
    with running(ComposeStack(tuple(getattr(request.module, "PROFILES", ())))) as found:
        yield found
    assert found.leftovers() == {}
