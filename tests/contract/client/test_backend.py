"""The contract suite that is shipped to authors of backends, on a real Consul and on our own registry."""

from collections.abc import Callable, Iterator

import pytest

from homeport.testing import FaultProxy
from homeport.testing.contract import BackendContract, Harness
from tests.contract.client.harness import Registry, RegistryHarness


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
