"""The contract suite that is shipped to authors of backends, on a real etcd."""

from collections.abc import Callable, Iterator

import pytest

from homeport.testing import FaultProxy
from homeport.testing.contract import BackendContract, Harness
from tests.contract.etcd.harness import EtcdHarness
from tests.servers.etcd import EtcdServer


class TestEtcd(BackendContract):
    @pytest.fixture
    def harness(self, etcd: EtcdServer) -> Iterator[Harness]:
        """On an etcd that is shared."""
        with FaultProxy(etcd.address) as proxy:
            yield EtcdHarness(etcd, proxy)

    @pytest.fixture
    def durable_harness(self, etcd_factory: Callable[..., EtcdServer]) -> Iterator[Harness]:
        """On an etcd of the test's own."""
        etcd = etcd_factory()
        with FaultProxy(etcd.address) as proxy:
            yield EtcdHarness(etcd, proxy)
