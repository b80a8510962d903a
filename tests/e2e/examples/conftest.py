"""A registry for the examples alone: their services have names that other tests use too."""

from collections.abc import Iterator

import pytest

from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer


@pytest.fixture(scope="module")
def homeport(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeportServer]:
    """A Homeport registry, shared by the examples of a module."""
    with HomeportFactory(tmp_path_factory.mktemp("homeport")) as factory:
        yield factory()
