"""The contract suite that is shipped to authors of backends, on a real etcd."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeport.testing import FaultProxy
from homeport.testing.contract import BackendContract, Harness
from tests.contract.etcd.harness import EtcdHarness, GuardedEtcdHarness
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

    @pytest.fixture
    def guarded_harness(
        self, etcd_factory: Callable[..., EtcdServer], etcdctl_binary: Path, tmp_path: Path
    ) -> Iterator[Harness]:
        """On an etcd that asks for users."""
        etcd = etcd_factory(arguments=GuardedEtcdHarness.ARGUMENTS)
        with FaultProxy(etcd.address) as proxy:
            yield GuardedEtcdHarness(etcd, proxy, etcdctl_binary, tmp_path / "password")


class TestEtcdWithASharedWatch(TestEtcd):
    """The same when all services share one watch from the first on."""

    @pytest.fixture(autouse=True)
    def shared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("homeport.backends.etcd.backend.HANDFUL", 0)
