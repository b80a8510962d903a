"""The two servers whose answers are compared."""

import pytest

from tests.contract.protocols_consul.differential import Differential
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer


@pytest.fixture(scope="session")
def differential(consul: ConsulServer, homeport: HomeportServer) -> Differential:
    """A real Consul and our registry, shared by all tests of this worker: use names that no other test uses."""
    return Differential(consul, homeport)
