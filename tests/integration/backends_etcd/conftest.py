"""What the integration tests of the etcd backend share."""

from pathlib import Path

import pytest

from tests.servers.etcd import EtcdServer
from tests.servers.etcdctl import Etcdctl


@pytest.fixture
def etcdctl(etcdctl_binary: Path, etcd: EtcdServer) -> Etcdctl:
    """The command, for the etcd that is shared."""
    return Etcdctl(etcdctl_binary, etcd.address)
