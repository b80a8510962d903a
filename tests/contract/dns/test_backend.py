"""The contract suite that is shipped to authors of backends, on a real BIND."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from homeport.testing import FaultProxy
from homeport.testing.contract import BackendContract, Harness
from tests.contract.dns.harness import ZONE, DNSHarness
from tests.servers.bind import BindServer
from tests.servers.requirement import require_server


@pytest.fixture(scope="module")
def binary() -> Path:
    """The program of a real BIND; without one the test skips, in CI it fails."""
    return require_server("named", environ=os.environ)


@pytest.fixture(scope="module")
def version(binary: Path) -> str:
    """What it calls itself, such as ``BIND 9.18.28``."""
    told = subprocess.run([str(binary), "-v"], capture_output=True, text=True, timeout=30, check=True).stdout
    return " ".join(told.split("-")[0].split()[:2])


@pytest.fixture(scope="module")
def bind(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BindServer]:
    """A BIND that all scenarios share."""
    with closing(BindServer(binary, tmp_path_factory.mktemp("bind"), {ZONE: ()}, negative_ttl=0)) as bind:
        bind.start()
        yield bind


class TestDNS(BackendContract):
    @pytest.fixture
    def harness(self, bind: BindServer, version: str) -> Iterator[Harness]:
        """On a BIND that is shared."""
        with FaultProxy(bind.address) as proxy:
            yield DNSHarness(bind, proxy, system=version)

    @pytest.fixture
    def durable_harness(self, binary: Path, version: str, tmp_path: Path) -> Iterator[Harness]:
        """On a BIND of the test's own."""
        with closing(BindServer(binary, tmp_path / "bind", {ZONE: ()}, negative_ttl=0)) as bind:
            bind.start()
            with FaultProxy(bind.address) as proxy:
                yield DNSHarness(bind, proxy, system=version)
