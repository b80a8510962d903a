"""The contract suite that is shipped to authors of backends, on an API server of Kubernetes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeport.testing import FaultProxy
from homeport.testing.contract import BackendContract, Harness
from tests.contract.kubernetes.harness import InClusterHarness, KubernetesHarness, PlainHarness
from tests.contract.kubernetes.plain_way import PlainWay
from tests.servers.kubernetes import ApiServer


class TestKubernetes(BackendContract):
    @pytest.fixture
    def harness(self, request: pytest.FixtureRequest, kubernetes: ApiServer) -> Iterator[Harness]:
        """On a server that is shared; over plain HTTP where garbage is to stand in its place."""
        if "garbage" not in request.node.name:
            with FaultProxy(kubernetes.address) as proxy:
                yield KubernetesHarness(kubernetes, proxy)
            return
        with PlainWay(kubernetes) as way, FaultProxy(way.address) as proxy:
            yield PlainHarness(kubernetes, proxy)

    @pytest.fixture
    def durable_harness(self, kubernetes_factory: Callable[..., ApiServer]) -> Iterator[Harness]:
        """On a server of the test's own."""
        server = kubernetes_factory()
        with FaultProxy(server.address) as proxy:
            yield KubernetesHarness(server, proxy)

    @pytest.fixture
    def guarded_harness(self, kubernetes: ApiServer, tmp_path: Path) -> Iterator[Harness]:
        """As seen from a pod, with the rights that the documentation asks for."""
        with FaultProxy(kubernetes.address) as proxy:
            yield InClusterHarness(kubernetes, proxy, tmp_path)
