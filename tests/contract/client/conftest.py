"""The registries that every scenario runs against."""

from collections.abc import Callable

import pytest

from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer

Registry = ConsulServer | HomeportServer
REGISTRIES = ["consul", "homeport"]


@pytest.fixture(params=REGISTRIES)
def registry(request: pytest.FixtureRequest) -> Registry:
    """A registry that is shared with other tests: use names of your own, and leave it running."""
    server: Registry = request.getfixturevalue(request.param)
    return server


@pytest.fixture(params=REGISTRIES)
def make_registry(request: pytest.FixtureRequest) -> Callable[..., Registry]:
    """Makes durable registries of the test's own, to be stopped, killed and wiped."""
    make: Callable[..., Registry] = request.getfixturevalue(f"{request.param}_factory")
    return lambda: make(dev=False)
