"""The contract suite that is shipped to authors of backends, on a real Consul and on our own registry."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeport.testing import FaultProxy
from homeport.testing.contract import BackendContract, Harness
from tests.contract.client.harness import GuardedConsulHarness, Registry, RegistryHarness
from tests.servers.consul import ConsulServer
from tests.servers.factory import ConsulFactory


class TestRegistries(BackendContract):
    @pytest.fixture
    def harness(self, registry: Registry) -> Iterator[Harness]:
        """On a registry that is shared."""
        with FaultProxy(registry.address) as proxy:
            yield RegistryHarness(registry, proxy)

    @pytest.fixture
    def durable_harness(self, make_registry: Callable[[], Registry]) -> Iterator[Harness]:
        """On a registry of the test's own."""
        registry = make_registry()
        with FaultProxy(registry.address) as proxy:
            yield RegistryHarness(registry, proxy)

    @pytest.fixture
    def guarded_harness(self, request: pytest.FixtureRequest, registry: Registry, tmp_path: Path) -> Iterator[Harness]:
        """On a Consul that asks for tokens; our registry asks for none."""
        if not isinstance(registry, ConsulServer):
            with FaultProxy(registry.address) as proxy:
                yield RegistryHarness(registry, proxy)
            return
        make: ConsulFactory = request.getfixturevalue("consul_factory")
        consul = make(config=GuardedConsulHarness.CONFIG, start=False)
        consul.token = GuardedConsulHarness.ROOT
        consul.start()
        with FaultProxy(consul.address) as proxy:
            yield GuardedConsulHarness(consul, proxy, tmp_path / "token")
