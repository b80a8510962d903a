"""The contract suite that is shipped to authors of backends, on a real Eureka server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.testing import FaultProxy
from homeport.testing.contract import BackendContract, Harness
from tests.contract.eureka.harness import FORGETFUL, EurekaHarness
from tests.servers.eureka import EurekaServer


@pytest.fixture(scope="module")
def forgetful(eureka_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EurekaServer]:
    """A server for those who wipe it; whoever begins with it finds it running."""
    server = EurekaServer(eureka_binary, tmp_path_factory.mktemp("forgetful"), settings=FORGETFUL)
    try:
        server.start()
        yield server
    finally:
        server.close()


class TestEureka(BackendContract):
    @pytest.fixture
    def harness(self, eureka: EurekaServer) -> Iterator[Harness]:
        """On a server that is shared."""
        with FaultProxy(eureka.address) as proxy:
            yield EurekaHarness(eureka, proxy)

    @pytest.fixture
    def durable_harness(self, forgetful: EurekaServer) -> Iterator[Harness]:
        """On a server that may be wiped, with an instance that stands throughout."""
        forgetful.register("bystander", "bystander-1", duration=3600)
        with FaultProxy(forgetful.address) as proxy:
            yield EurekaHarness(forgetful, proxy)
