"""The registries that the blocking twin is held against."""

from collections.abc import Callable, Iterator

import pytest

from homeport.blocking import Discovery
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer

Registry = ConsulServer | HomeportServer
Open = Callable[[], Discovery]


@pytest.fixture(params=["consul", "homeport"])
def registry(request: pytest.FixtureRequest) -> Registry:
    """A registry that is shared with other tests: use names of your own, and leave it running."""
    server: Registry = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def discovery(registry: Registry) -> Iterator[Discovery]:
    with Discovery(registry.backend_url, environ={}) as discovery:
        yield discovery
